import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { searchPath } from '../test/sandbox/requirements.ts';
import type { Benchmark } from './benchmark.ts';
import { benchCredentials } from './credentials.ts';
import { benchDocker } from './docker.ts';
import { benchImages } from './images.ts';

const benchmarks: Readonly<Record<string, Benchmark>> = {
  credentials: benchCredentials,
  images: benchImages,
  docker: benchDocker,
};

/** Runs the benchmark of this name. Returns the exit status: 1 if it missed an aim, 2 if there is none of that name. */
async function main(name: string | undefined, signal: AbortSignal): Promise<number> {
  const benchmark = name !== undefined && Object.hasOwn(benchmarks, name) ? benchmarks[name] : undefined;
  if (!benchmark) {
    console.error(`Say which benchmark: npm run bench -- ${Object.keys(benchmarks).join(' | ')}`);
    return 2;
  }
  const directory = await mkdtemp(join(tmpdir(), 'pullready-bench-'));
  try {
    console.log(`${await describeMachine(directory)}\n`);
    const missed = await benchmark(directory, signal);
    console.log(missed.length === 0 ? 'Every aim is met.' : `Missed:\n  ${missed.join('\n  ')}`);
    return missed.length === 0 ? 0 : 1;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What the times of this run depend on, and nobody can compare with those of another machine. */
async function describeMachine(directory: string): Promise<string> {
  const { type } = await statfs(directory);
  const load = `${availableParallelism()} CPUs, load ${(loadavg()[0] ?? 0).toFixed(1)}`;
  const memory = type === tmpfs ? '; THIS IS MEMORY, nothing becomes durable: set TMPDIR to a disk' : '';
  return `Node.js ${process.version}, agent from source; ${load}; files in ${directory}${memory}`;
}

/** Of linux/magic.h. */
const tmpfs = 0x01021994;

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => interrupted.abort(new Error(`ended by ${name}`)));

process.env.PATH = searchPath();
try {
  process.exitCode = await main(process.argv[2], interrupted.signal);
} catch (error) {
  console.error(interrupted.signal.aborted ? interrupted.signal.reason.message : error);
  process.exitCode = 1;
}
