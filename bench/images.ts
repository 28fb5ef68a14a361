import type { Benchmark } from './benchmark.ts';
import { benchPasses } from './passes.ts';
import { benchQuiet } from './quiet.ts';
import { benchWarming } from './warming.ts';

/** What it costs to warm images, to find them all there, and to wait. */
export async function benchImages(directory: string, signal: AbortSignal): Promise<readonly string[]> {
  const missed: string[] = [];
  for (const bench of parts) missed.push(...(await bench(directory, signal)));
  return missed;
}

const parts: readonly Benchmark[] = [benchWarming, benchPasses, benchQuiet];
