/**
 * A benchmark: works in a directory that is gone afterwards, prints what it measured, and returns the aims that were
 * missed, each as a sentence. Ends early, by an error, when the signal aborts.
 */
export type Benchmark = (directory: string, signal: AbortSignal) => Promise<readonly string[]>;

/** One benchmark made of several, which run one after the other. */
export function inTurn(...parts: readonly Benchmark[]): Benchmark {
  return async (directory, signal) => {
    const missed: string[] = [];
    for (const bench of parts) missed.push(...(await bench(directory, signal)));
    return missed;
  };
}
