import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ImageRecipe } from '../test/sandbox/images.ts';
import type { SandboxNode } from '../test/sandbox/sandbox-node.ts';
import { cpuTime } from './cpu-time.ts';
import { pullWithCtr } from './ctr-pulls.ts';
import { startImageAgent, untilWarm } from './image-agent.ts';
import { peakMemory } from './peak-memory.ts';
import { formatMilliseconds, formatRatio, printTable } from './table.ts';
import { publishAll, removeImages, startWarmNode } from './warm-node.ts';

const mib = 2 ** 20;
const concurrencies = [1, 2, 4, 8] as const;

/** How many times as long as ctr the agent may take: what is above 1 is noise of the disk. */
const ratioAim = 1.1;

const small = { count: 40, layers: [mib, mib] } as const;
const large = { count: 4, layers: [50 * mib, 50 * mib, 50 * mib, 50 * mib] } as const;

/** What it took to warm all images once. The CPU is of the agent alone, in milliseconds; memory is in MiB. */
type Warmed = { readonly wall: number; readonly cpu: number; readonly memory: number };

type Result = { readonly concurrency: number; readonly agent: Warmed; readonly ctr: number };

/** Times the warming of many images, by the agent and by ctr, at several concurrencies. */
export async function benchWarming(directory: string, signal: AbortSignal): Promise<readonly string[]> {
  const node = await startWarmNode(join(directory, 'warming'));
  try {
    const references = await publishAll(node, recipes(), signal);
    // Nobody's first steps count: containerd has not pulled yet.
    await pullWithCtr(node, references.slice(0, 4), 2);
    const results: Result[] = [];
    for (const [round, concurrency] of concurrencies.entries())
      results.push(await timeInTurn({ node, references, concurrency, signal }, round % 2 === 0));
    await removeImages(node);
    return judge(results);
  } finally {
    await node.stop();
  }
}

/** The large ones are spread over the list, so that none of them is left for the end by chance. */
function recipes(): readonly ImageRecipe[] {
  const every = small.count / large.count;
  const image = (kind: string, number: number, layers: readonly number[]): ImageRecipe => ({
    repository: `team-a/${kind}-${number}`,
    tag: 'v1',
    layers,
  });
  return Array.from({ length: small.count }, (_, number) => [
    ...(number % every === 0 ? [image('large', number / every, large.layers)] : []),
    image('small', number, small.layers),
  ]).flat();
}

type Round = {
  readonly node: SandboxNode;
  readonly references: readonly string[];
  readonly concurrency: number;
  readonly signal: AbortSignal;
};

/** One after the other, both on a node without any image; who comes first changes from round to round. */
async function timeInTurn(round: Round, isAgentFirst: boolean): Promise<Result> {
  const { node, concurrency, signal } = round;
  const timed: { agent?: Warmed; ctr?: number } = {};
  for (const isAgent of [isAgentFirst, !isAgentFirst]) {
    signal.throwIfAborted();
    await removeImages(node);
    if (isAgent) timed.agent = await warmWithAgent(round);
    else timed.ctr = await warmWithCtr(round);
  }
  const { agent, ctr } = timed;
  assert.ok(agent && ctr !== undefined);
  return { concurrency, agent, ctr };
}

async function warmWithCtr({ node, references, concurrency }: Round): Promise<number> {
  const start = performance.now();
  await pullWithCtr(node, references, concurrency);
  return performance.now() - start;
}

/** From the list's being written, while the agent runs with an empty one, to its word that the last image is there. */
async function warmWithAgent({ node, references, concurrency, signal }: Round): Promise<Warmed> {
  const settings = { pulls: { concurrency, perRegistry: concurrency }, disk: { keepFree: '1Gi' } };
  await node.updateConfig({ images: [], ...settings });
  const logFile = join(node.directory, `log/agent-${concurrency}.log`);
  const agent = await startImageAgent({ ...node, logFile });
  try {
    await untilWarm(agent, 0, 20_000);
    await delay(1_000, undefined, { signal }); // what comes after a start is no part of warming
    const [start, cpu] = [performance.now(), await cpuTime(agent.pid)];
    await node.updateConfig({ images: references.map(image => ({ image })), ...settings });
    await untilWarm(agent, references.length, 120_000);
    const wall = performance.now() - start;
    return { wall, cpu: (await cpuTime(agent.pid)) - cpu, memory: await peakMemory(agent.pid) };
  } finally {
    await agent.stop();
  }
}

function judge(results: readonly Result[]): readonly string[] {
  const judged = results.map(result => ({ ...result, ratio: result.agent.wall / result.ctr }));
  printTable(`Warming ${small.count} images of 2 MiB and ${large.count} of 200 MiB`, [
    ['concurrency', 'agent', 'ctr', 'agent / ctr', 'CPU of the agent', 'its peak memory'],
    ...judged.map(({ concurrency, agent: { wall, cpu, memory }, ctr, ratio }) => [
      String(concurrency),
      formatMilliseconds(wall),
      formatMilliseconds(ctr),
      formatRatio(ratio),
      formatMilliseconds(cpu),
      `${memory.toFixed(0)} MiB`,
    ]),
  ]);
  return judged
    .filter(({ ratio }) => ratio > ratioAim)
    .map(({ concurrency, ratio }) => {
      const times = ratio.toFixed(2);
      return `at concurrency ${concurrency} warming takes ${times} times as long as by ctr, more than ${ratioAim}`;
    });
}
