import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ImageRecipe } from '../test/sandbox/images.ts';
import type { Benchmark } from './benchmark.ts';
import { cpuTime } from './cpu-time.ts';
import { startImageAgent, untilWarm } from './image-agent.ts';
import { peakMemory } from './resident-memory.ts';
import { pullWithScript } from './script-pulls.ts';
import { formatMebibytes, formatMilliseconds, formatRatio, printTable } from './table.ts';
import { publishAll, removeImages, startWarmNode, type WarmNode } from './warm-node.ts';
import type { CreateWarmRuntime } from './warm-runtime.ts';

const mib = 2 ** 20;
const concurrencies = [1, 2, 4, 8] as const;

/** How many times as long as the script the agent may take: what is above 1 is noise of the disk. */
const ratioAim = 1.1;

const small = { count: 40, layers: [mib, mib] } as const;
const large = { count: 4, layers: [50 * mib, 50 * mib, 50 * mib, 50 * mib] } as const;

/** What it took to warm all images once. The CPU is of the agent alone, in milliseconds; memory is in MiB. */
type Warmed = { readonly wall: number; readonly cpu: number; readonly memory: number };

type Result = { readonly concurrency: number; readonly agent: Warmed; readonly script: number };

/** Times the warming of many images, by the agent and by a script, at several concurrencies. */
export function benchWarmingOn(create: CreateWarmRuntime): Benchmark {
  return async (directory, signal) => {
    const node = await startWarmNode(join(directory, 'warming'), create);
    try {
      const references = await publishAll(node, recipes(), signal);
      // Nobody's first steps count: the runtime has not pulled yet.
      await pullWithScript(node, references.slice(0, 4), 2);
      const results: Result[] = [];
      for (const [round, concurrency] of concurrencies.entries())
        results.push(await timeInTurn({ node, references, concurrency, signal }, round % 2 === 0));
      await removeImages(node);
      return judge(node.runtime.script, results);
    } finally {
      await node.stop();
    }
  };
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
  readonly node: WarmNode;
  readonly references: readonly string[];
  readonly concurrency: number;
  readonly signal: AbortSignal;
};

/**
 * Each twice, always on a node without any image, and who comes first changes from round to round. Of both times the
 * shorter one counts: what others do on the machine can only make one longer.
 */
async function timeInTurn(round: Round, isAgentFirst: boolean): Promise<Result> {
  const agents: Warmed[] = [];
  const scripts: number[] = [];
  for (const isAgent of [isAgentFirst, !isAgentFirst, isAgentFirst, !isAgentFirst]) {
    round.signal.throwIfAborted();
    await removeImages(round.node);
    if (isAgent) agents.push(await warmWithAgent(round));
    else scripts.push(await warmWithScript(round));
  }
  const [agent] = agents.toSorted((one, other) => one.wall - other.wall);
  assert.ok(agent);
  return { concurrency: round.concurrency, agent, script: Math.min(...scripts) };
}

async function warmWithScript({ node, references, concurrency }: Round): Promise<number> {
  const start = performance.now();
  await pullWithScript(node, references, concurrency);
  return performance.now() - start;
}

/** From the list's being written, while the agent runs with an empty one, to its word that the last image is there. */
async function warmWithAgent({ node, references, concurrency, signal }: Round): Promise<Warmed> {
  const settings = { pulls: { concurrency, perRegistry: concurrency }, disk: { keepFree: '1Gi' } };
  await node.updateConfig({ images: [], ...settings });
  const logFile = join(node.directory, `log/agent-${concurrency}.log`);
  await rm(logFile, { force: true }); // of the time before: what that one told is not what this one tells
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

function judge(script: string, results: readonly Result[]): readonly string[] {
  const judged = results.map(result => ({ ...result, ratio: result.agent.wall / result.script }));
  printTable(`Warming ${small.count} images of 2 MiB and ${large.count} of 200 MiB`, [
    ['concurrency', 'agent', script, `agent / ${script}`, 'CPU of the agent', 'its peak memory'],
    ...judged.map(({ concurrency, agent: { wall, cpu, memory }, script, ratio }) => [
      String(concurrency),
      formatMilliseconds(wall),
      formatMilliseconds(script),
      formatRatio(ratio),
      formatMilliseconds(cpu),
      formatMebibytes(memory),
    ]),
  ]);
  return judged
    .filter(({ ratio }) => ratio > ratioAim)
    .map(({ concurrency, ratio }) => {
      const times = ratio.toFixed(2);
      return `at concurrency ${concurrency} warming takes ${times} times as long as by ${script}, more than ${ratioAim}`;
    });
}
