import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parse } from 'yaml';
import { memoryLimit } from '../test/manifests/pod-memory.ts';
import { freePort } from '../test/sandbox/link.ts';
import { waitUntil } from '../test/sandbox/wait-until.ts';
import { bundleAgent } from './bundled-agent.ts';
import { startImageAgent, untilWarm } from './image-agent.ts';
import { type ResidentMemory, residentMemory } from './resident-memory.ts';
import { formatMebibytes, formatRatio, printTable } from './table.ts';
import { createWarmContainerd } from './warm-containerd.ts';
import { createWarmDocker } from './warm-docker.ts';
import { publishAll, startWarmNode, type WarmNode } from './warm-node.ts';
import type { CreateWarmRuntime } from './warm-runtime.ts';

const mib = 2 ** 20;
const pulls = 8;
const layers = [10 * mib, 10 * mib, 10 * mib] as const;

/** Slow enough for twenty seconds of pulling, fast enough for every pull to tell something some five times a second. */
const bytesPerSecond = 12 * mib;

/** What the agent may have of its own while it pulls, as a share of the manifest's limit. */
const shareAim = 0.5;

/** The heap that V8 gives itself under that limit, in MiB: it is not under it here. */
const heapFlags = ['--max-old-space-size=256', '--max-semi-space-size=1'] as const;

/** The memory of one agent, and how long it was looked at while all images were being pulled. */
type Used = {
  readonly runtime: string;
  readonly before: ResidentMemory;
  /** The most that was seen of each. */
  readonly pulling: ResidentMemory;
  readonly seconds: number;
};

/** Measures what memory the agent has while many pulls tell their progress, on dockerd and on containerd. */
export async function benchPullMemory(directory: string, signal: AbortSignal): Promise<readonly string[]> {
  const program = [...heapFlags, await bundleAgent(directory)];
  const used: Used[] = [];
  for (const create of [createEagerDocker, createWarmContainerd])
    used.push(await measureOn(create, join(directory, `memory-${used.length}`), program, signal));
  return judge(used, await readLimit());
}

/** By default a dockerd transfers three layers at a time, and the other pulls would have nothing to tell. */
const createEagerDocker: CreateWarmRuntime = options =>
  createWarmDocker(options, { 'max-concurrent-downloads': pulls * layers.length });

async function measureOn(
  create: CreateWarmRuntime,
  directory: string,
  program: readonly string[],
  signal: AbortSignal,
): Promise<Used> {
  const node = await startWarmNode(directory, create);
  try {
    const recipes = Array.from({ length: pulls }, (_, number) => {
      return { repository: `team-a/image-${number}`, tag: 'v1', layers };
    });
    const references = await publishAll(node, recipes, signal);
    node.registry.limit(bytesPerSecond);
    return await measurePulls(node, references, program, signal);
  } finally {
    await node.stop();
  }
}

async function measurePulls(
  node: WarmNode,
  references: readonly string[],
  program: readonly string[],
  signal: AbortSignal,
): Promise<Used> {
  const settings = { pulls: { concurrency: pulls, perRegistry: pulls }, disk: { keepFree: '1Gi' } };
  await node.updateConfig({ images: [], ...settings });
  const listen = `127.0.0.1:${await freePort()}`;
  const logFile = join(node.directory, 'log/agent.log');
  const agent = await startImageAgent({ ...node, logFile, program, listen });
  try {
    await untilWarm(agent, 0, 20_000);
    await delay(2_000, undefined, { signal }); // what comes after a start is no part of pulling
    const before = await residentMemory(agent.pid);
    await node.updateConfig({ images: references.map(image => ({ image })), ...settings });
    await untilAllPull(listen);
    const start = performance.now();
    const pulling = await mostMemory(agent.pid, untilWarm(agent, pulls, 120_000));
    return { runtime: node.runtime.name, before, pulling, seconds: (performance.now() - start) / 1_000 };
  } finally {
    await agent.stop();
  }
}

async function untilAllPull(listen: string): Promise<void> {
  const told = `pullready_images{state="pulling"} ${pulls}\n`;
  const isTold = async () => (await (await fetch(`http://${listen}/metrics`)).text()).includes(told);
  await waitUntil(isTold, { what: `${pulls} images to be pulled at the same time`, timeoutMs: 10_000 });
}

/** The most that was seen, by looks a tenth of a second apart, until this step has ended. */
async function mostMemory(pid: number, step: Promise<void>): Promise<ResidentMemory> {
  let isOver = false;
  const ended = step.finally(() => {
    isOver = true;
  });
  let most: ResidentMemory = { all: 0, own: 0 };
  while (!isOver) {
    const { all, own } = await residentMemory(pid);
    most = { all: Math.max(most.all, all), own: Math.max(most.own, own) };
    await Promise.race([ended, delay(100)]);
  }
  await ended;
  return most;
}

async function readLimit(): Promise<number> {
  const file = new URL('../manifests/base/daemonset.yaml', import.meta.url);
  const [container] = parse(await readFile(file, 'utf8')).spec.template.spec.containers;
  return memoryLimit(container) / mib;
}

function judge(used: readonly Used[], limit: number): readonly string[] {
  const onContainerd = used.at(-1)?.pulling.all ?? Number.NaN;
  printTable(`Memory of the agent alone while ${pulls} pulls tell their progress; its limit: ${limit} MiB`, [
    [
      'runtime',
      'before',
      'pulling',
      '/ before',
      '/ on containerd',
      'its own',
      'its own / limit',
      'looked for',
    ],
    ...used.map(({ runtime, before, pulling: { all, own }, seconds }) => [
      runtime,
      formatMebibytes(before.all),
      formatMebibytes(all),
      formatRatio(all / before.all),
      formatRatio(all / onContainerd),
      formatMebibytes(own),
      formatRatio(own / limit),
      `${seconds.toFixed(0)} s`,
    ]),
  ]);
  return used
    .filter(({ pulling }) => pulling.own > limit * shareAim)
    .map(({ runtime, pulling }) => {
      const had = formatMebibytes(pulling.own);
      return `on ${runtime} the agent has ${had} of its own while it pulls, more than ${shareAim} of ${limit} MiB`;
    });
}
