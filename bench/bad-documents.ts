import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type BenchNode, makeNode, startAgent } from './bench-node.ts';
import { costsOfLooks, type Measured } from './look-cost.ts';
import { median } from './percentile.ts';
import { timeRotation } from './rotation.ts';
import { makeDocument } from './secret.ts';
import { formatMilliseconds, formatRatio, printTable } from './table.ts';

/** What a Secret may hold at most, in bytes. */
const size = 2 ** 20;

/** How many times what a good one costs a bad document may cost. */
const ratioAim = 2;

/** Measures the CPU that the running agent takes for malformed documents of 1 MiB, beside a good one of that size. */
export async function benchBadDocuments(directory: string, signal: AbortSignal): Promise<readonly string[]> {
  const node = await makeNode(join(directory, 'bad-documents'));
  const agent = await startAgent(node);
  const measured = { agent, node, signal };
  try {
    const good = await costOf(measured, () => goodDocument());
    const bad = new Map<string, number>();
    for (const [name, document] of Object.entries(badDocuments(goodDocument()))) {
      assert.equal(Buffer.byteLength(document), size, name);
      bad.set(name, await costOf(measured, () => document));
    }
    return judge(good, bad);
  } finally {
    await agent.stop();
  }
}

/** The median of three costs, each of a look that comes after a small good document. */
async function costOf(measured: Measured, makeText: () => string): Promise<number> {
  const costs: number[] = [];
  for (let round = 0; round < 3; round++) {
    await settle(measured.node);
    costs.push(...(await costsOfLooks(measured, [makeText()])));
  }
  return median(costs);
}

/** A small rotation, which also shows that the agent has survived the last document. */
async function settle(node: BenchNode): Promise<void> {
  await timeRotation(node, makeDocument(10));
}

/** 5,000 entries, and room to the full size. */
function goodDocument(): string {
  return makeDocument(5_000, 48).text.padEnd(size);
}

/** The ways in which a document can be bad, by what a reader would have to go through to find out. */
function badDocuments(good: string): Readonly<Record<string, string>> {
  const fill = (start: string, part: string, end: string) =>
    `${start}${part.repeat(Math.floor((size - start.length - end.length) / part.length))}${end}`.padEnd(size);
  return {
    'the last brace is missing': good.trimEnd().slice(0, -1).padEnd(size),
    'no JSON from the start': fill('', 'x', ''),
    'nothing but space': fill('', ' ', ''),
    'arrays in arrays': fill('{"auths":', '[', ''),
    'objects in objects': fill('', '{"auths":', ''),
    'a string without an end': fill('{"auths":"', 'x', ''),
    'every auth is no base64': good.replaceAll('"auth":"', '"auth":"*').trimEnd().padEnd(size),
    'one name over and over': fill('{"auths":{', '"a":{},', '"a":{}}}'),
  };
}

function judge(good: number, bad: ReadonlyMap<string, number>): readonly string[] {
  printTable('CPU of the running agent for one document of 1 MiB', [
    ['', 'CPU', 'bad / good'],
    ['5,000 good entries', formatMilliseconds(good), ''],
    ...[...bad].map(([name, cost]) => [name, formatMilliseconds(cost), formatRatio(cost / good)]),
  ]);
  return [...bad]
    .filter(([, cost]) => cost > ratioAim * good)
    .map(([name, cost]) => {
      const times = (cost / good).toFixed(1);
      return `a bad document (${name}) costs ${times} times as much as a good one, more than ${ratioAim}`;
    });
}
