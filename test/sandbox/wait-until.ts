import { setTimeout as delay } from 'node:timers/promises';

/** What is waited for (as a noun phrase or a clause, for the error) and for how long, in milliseconds. */
export type WaitOptions = {
  readonly what: string;
  readonly timeoutMs: number;
  readonly intervalMs?: number;
};

/**
 * Asks `condition` again and again until it answers true. A condition that throws counts as not yet true; its last
 * error becomes the cause if the time is up. One call of `condition` is expected to be bounded by itself.
 */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  { what, timeoutMs, intervalMs = 20 }: WaitOptions,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let cause: unknown;
    try {
      if (await condition()) return;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadline)
      throw new Error(`waited ${timeoutMs} ms in vain for ${what}`, { cause });
    await delay(intervalMs);
  }
}
