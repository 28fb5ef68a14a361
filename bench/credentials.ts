import { benchBadDocuments } from './bad-documents.ts';
import type { Benchmark } from './benchmark.ts';
import { benchRotations } from './rotations.ts';
import { benchStages } from './stages.ts';
import { benchUnchanged } from './unchanged.ts';
import { benchWholeLooks } from './whole-looks.ts';

/** What a Secret costs when it is rotated, when it does not change, when it is large, and when it is malformed. */
export async function benchCredentials(directory: string, signal: AbortSignal): Promise<readonly string[]> {
  const missed: string[] = [];
  for (const bench of parts) missed.push(...(await bench(directory, signal)));
  return missed;
}

const parts: readonly Benchmark[] = [
  benchRotations,
  benchUnchanged,
  benchStages,
  benchWholeLooks,
  benchBadDocuments,
];
