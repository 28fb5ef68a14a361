import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type BenchNode, makeNode, startAgent, startBareLoop } from './bench-node.ts';
import { median, percentile } from './percentile.ts';
import { timeRotation } from './rotation.ts';
import { makeDocument } from './secret.ts';
import { formatMilliseconds, formatRatio, printTable } from './table.ts';

/** How many rotations are timed, in turns, so that both see the same machine. */
type Plan = { readonly blocks: number; readonly perBlock: number; readonly pauseMs: number };

/** Long enough for whoever wrote to come to rest: a Secret is rotated minutes apart. */
const atRest: Plan = { blocks: 30, perBlock: 10, pauseMs: 100 };

/** Each rotation follows as soon as the one before is seen: whoever wrote is still at it. */
const onTheHeels: Plan = { blocks: 10, perBlock: 10, pauseMs: 0 };

/** What the agent's slowest rotation but one in a hundred may take, in milliseconds. */
const p99Aim = 100;

/** Times rotations of a Secret, by the agent and by a bare loop. */
export async function benchRotations(directory: string, signal: AbortSignal): Promise<readonly string[]> {
  const nodes = [
    await makeNode(join(directory, 'agent')),
    await makeNode(join(directory, 'bare-loop')),
  ] as const;
  await using programs = new AsyncDisposableStack();
  for (const [node, start] of [
    [nodes[0], startAgent],
    [nodes[1], startBareLoop],
  ] as const) {
    const program = await start(node);
    programs.defer(() => program.stop());
  }
  // Nobody's first steps count: the compiler has not seen them, nor has the page cache.
  await timeInTurns(nodes, { blocks: 1, perBlock: 30, pauseMs: 100 }, signal);
  const calm = await timeInTurns(nodes, atRest, signal);
  print('one rotation at a time', calm);
  print('each on the heels of the one before', await timeInTurns(nodes, onTheHeels, signal));
  const [p99, bareP99] = calm.map(times => formatMilliseconds(percentile(times, 0.99)));
  if (percentile(calm[0], 0.99) < p99Aim) return [];
  const beside = `that of the bare loop in the same run is ${bareP99}, which is what the machine had to give`;
  return [`p99 from the swap to both files durable is ${p99}, not under ${p99Aim} ms (${beside})`];
}

type Pair<T> = readonly [agent: T, bareLoop: T];

async function timeInTurns(
  [agent, bareLoop]: Pair<BenchNode>,
  { blocks, perBlock, pauseMs }: Plan,
  signal: AbortSignal,
): Promise<Pair<readonly number[]>> {
  const times: Pair<number[]> = [[], []];
  for (let block = 0; block < blocks; block++) {
    const turns = [
      [agent, times[0]],
      [bareLoop, times[1]],
    ] as const;
    for (const [node, list] of block % 2 === 0 ? turns : turns.toReversed())
      for (let round = 0; round < perBlock; round++) {
        await delay(pauseMs, undefined, { signal });
        list.push(await timeRotation(node, makeDocument(1)));
      }
  }
  return times;
}

function print(title: string, [agent, bareLoop]: Pair<readonly number[]>): void {
  const of = (times: readonly number[]) => [median(times), percentile(times, 0.99)];
  const row = (name: string, cells: readonly string[]) => [name, ...cells];
  const [ours, theirs] = [of(agent), of(bareLoop)];
  printTable(`From the swap of ..data to both files durable, ${title} (${agent.length} each)`, [
    ['', 'median', 'p99'],
    row('agent', ours.map(formatMilliseconds)),
    row('bare loop', theirs.map(formatMilliseconds)),
    row(
      'agent / bare loop',
      ours.map((time, index) => formatRatio(time / (theirs[index] ?? Number.NaN))),
    ),
  ]);
}
