import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { WriteSteps } from './write-steps.ts';

/** A system call on the node: which one of its name it is in its thread, and what it is about. */
export type Call = {
  readonly name: string;
  readonly number: number;
  readonly about: string;
  /** The fault was injected into it. */
  readonly isFaulty: boolean;
};

/** What strace is to run. */
export type Traced = {
  /** The program, as `buildSteps` made it. */
  readonly program: string;
  /** `report` is a write that is looked at and made once more, see `WriteReport`. */
  readonly move: 'write' | 'report' | 'clean';
  readonly steps: WriteSteps;
  /** What is done to one of the calls, and to which: `signal=KILL`, `error=EIO`. */
  readonly fault?: { readonly call: Call; readonly what: string };
};

/** How the program ended, what it printed, and its calls on the node; the last one perhaps not to the end. */
export type TracedRun = {
  readonly status: number | string | null;
  readonly output: string;
  readonly calls: readonly Call[];
};

/** Makes `write-steps.ts` one file in this directory, so that it starts fast. Returns its path. */
export async function buildSteps(directory: string): Promise<string> {
  const program = join(directory, 'write-steps.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('write-steps.ts', import.meta.url))],
    outfile: program,
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    mainFields: ['module', 'main'],
  });
  return program;
}

/** Without `read`: the main thread does more of them than the one that works on files, and would be met first. */
const traced = '%file,close,write,pwrite64,getdents64,fsync,fdatasync,fchmod,fchown,ftruncate';

/** Runs the steps under strace. Where a fault came is for the caller to see. */
export async function traceSteps({ program, move, steps, fault }: Traced): Promise<TracedRun> {
  const log = `${steps.directory}.calls`;
  const injection = fault ? [`--inject=${fault.call.name}:${fault.what}:when=${fault.call.number}`] : [];
  const options = ['-f', '-qq', '-y', `--trace=${traced}`, ...injection, '-o', log];
  const command = [process.execPath, program, move, JSON.stringify(steps)];
  const child = spawn('strace', [...options, ...command], {
    // One thread, so that its calls come in the same order every time.
    env: { PATH: process.env.PATH, UV_THREADPOOL_SIZE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', text => {
      output += text;
    });
  const [status, signal] = await once(child, 'close');
  return { status: signal ?? status, output, calls: readCalls(await readFile(log, 'utf8'), steps.directory) };
}

/** The calls of the first thread that touches the node: that of another one is a misreading of strace's at a kill. */
function readCalls(log: string, directory: string): readonly Call[] {
  const counts = new Map<string, number>();
  const calls: Call[] = [];
  let worker: string | undefined;
  for (const [line, thread, name = '', given = ''] of log.matchAll(/^(\d+) +(\w+)\((.*?)(?:\) += .*)?$/gm)) {
    const number = (counts.get(`${thread} ${name}`) ?? 0) + 1;
    counts.set(`${thread} ${name}`, number);
    const paths = [...given.matchAll(/[<"]([^<>"]*)[>"]/g)].flatMap(([, path = '']) =>
      path.startsWith(`${directory}/`) ? [withoutChance(path.slice(directory.length))] : [],
    );
    if (paths.length > 0) worker ??= thread;
    const isFaulty = line.endsWith('(INJECTED)');
    if (paths.length > 0 && thread === worker) calls.push({ name, number, about: paths.join(' '), isFaulty });
  }
  return calls;
}

/** Without what is random in it: the names of temporary files, and those of copies. */
export function withoutChance(path: string): string {
  return path.replaceAll(/-[0-9a-f]{12}/g, '-*');
}
