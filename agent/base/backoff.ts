/** How long to wait between attempts: `initial` milliseconds doubling up to `max`. */
export type Backoff = { readonly initial: number; readonly max: number };

/**
 * The wait before the next attempt, after `failures` (1 or more) failed ones, in milliseconds: exponential with full
 * jitter, a random part of the whole, so that nodes which failed together do not come back together.
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoffDelay(backoff: Backoff, failures: number, random = Math.random): number {
  return random() * backoffLimit(backoff, failures);
}

/** The longest wait after so many failures, in milliseconds; the wait itself where nobody else could come back with us. */
export function backoffLimit({ initial, max }: Backoff, failures: number): number {
  // 2^40 times any useful initial wait is far above any max; the bound keeps the product finite.
  return Math.min(max, initial * 2 ** Math.min(failures - 1, 40));
}
