import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitUntil } from '../test/sandbox/wait-until.ts';
import { type BenchNode, makeNode, startAgent } from './bench-node.ts';
import { timeRotation } from './rotation.ts';
import { makeDocument } from './secret.ts';
import { callsBetween, countSystemCalls, type SystemCalls, traceCommand } from './system-calls.ts';
import { printTable } from './table.ts';

const looks = 50;

/** Counts what looks at an unchanged Secret write, beside what one rotation writes: that is what shows that it is seen. */
export async function benchUnchanged(directory: string, signal: AbortSignal): Promise<readonly string[]> {
  const node = await makeNode(join(directory, 'unchanged'));
  const agent = await startAgent(node, traceCommand(node));
  try {
    const atStart = await untilAtRest(node);
    await timeRotation(node, makeDocument(1));
    const afterRotation = await untilAtRest(node);
    for (let round = 0; round < looks; round++) {
      signal.throwIfAborted();
      await hint(node);
    }
    const afterLooks = await untilAtRest(node);
    return judge(callsBetween(atStart, afterRotation), callsBetween(afterRotation, afterLooks));
  } finally {
    await agent.stop();
  }
}

/** Makes the agent look again, by a file beside the Secrets that is none, and waits until it has. */
async function hint(node: BenchNode): Promise<void> {
  const before = await countSystemCalls(node);
  const file = join(node.secrets, 'no-secret');
  await writeFile(file, '');
  await waitUntil(async () => (await countSystemCalls(node)).looks > before.looks, {
    what: 'a look at the Secret',
    timeoutMs: 5_000,
  });
  await rm(file);
}

/** The counts once nothing has come to them for a while: the agent ends a rotation with a record of its own. */
async function untilAtRest(node: BenchNode): Promise<SystemCalls> {
  let last = await countSystemCalls(node);
  let since = performance.now();
  await waitUntil(
    async () => {
      const now = await countSystemCalls(node);
      const isSame = Object.values(callsBetween(last, now)).every(count => count === 0);
      if (!isSame) [last, since] = [now, performance.now()];
      return performance.now() - since > 500;
    },
    { what: 'the agent to stop looking and writing', timeoutMs: 20_000 },
  );
  return last;
}

function judge(rotation: SystemCalls, unchanged: SystemCalls): readonly string[] {
  const row = (name: string, { looks: seen, writes, syncs }: SystemCalls) => [
    name,
    ...[seen, writes, syncs].map(String),
  ];
  printTable('System calls on the files of the node, counted by strace', [
    ['', 'looks', 'writes', 'syncs'],
    row('one rotation', rotation),
    row('unchanged Secret', unchanged),
  ]);
  const missed: string[] = [];
  if (rotation.writes === 0 || rotation.syncs === 0)
    missed.push('strace saw no write of a rotation, so that it saw none of an unchanged Secret says nothing');
  if (unchanged.writes + unchanged.syncs > 0)
    missed.push(
      `${unchanged.looks} looks at an unchanged Secret cost ${unchanged.writes} writes and ${unchanged.syncs} syncs`,
    );
  return missed;
}
