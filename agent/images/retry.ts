import { type Backoff, backoffDelay } from '../base/backoff.ts';
import type { PullFailureKind } from '../runtimes/pull-failure.ts';

/** What becomes of an image after a failed attempt. */
export type RetryPlan = {
  readonly state: 'failed' | 'waiting' | 'skipped';
  /** Milliseconds until the next attempt; infinity: none until something changes. */
  readonly delay: number;
  /** Milliseconds for which nothing is asked of the registry. */
  readonly registryPause: number;
};

/** How long a registry that says "too many requests" is left alone on average, at least, in milliseconds. */
const rateLimitPause = 30_000;

/** Another attempt alone does not mend it: it waits for new credentials, a new list or the next resync. */
export function waitsForChange(kind: PullFailureKind): boolean {
  return kind === 'auth' || kind === 'not-found' || kind === 'platform' || kind === 'bad-reference';
}

/** New credentials may mend it: many a registry answers "not found" to who may not see a repository. */
export function needsCredentials(kind: PullFailureKind): boolean {
  return kind === 'auth' || kind === 'not-found';
}

/**
 * The image goes on at once when pulls may start again. Not what was stopped for want of room: the runtime frees the part
 * that was there, which makes room again, and an image that is too large would be fetched over and over. Nor what was
 * under way when the runtime went away twice: it may be what the runtime dies of.
 */
export function goesOnAtOnce(kind: PullFailureKind, losses: number): boolean {
  return kind === 'runtime' && losses < 2;
}

/** An attempt that fails so may have held its slot for long: until a deadline, or until a connection broke. */
export function heldItsSlot(kind: PullFailureKind): boolean {
  return kind === 'stalled' || kind === 'timeout' || kind === 'unreachable' || kind === 'unknown';
}

/** It is the node that fails and not the image. */
function waitsForNode(kind: PullFailureKind): boolean {
  return kind === 'runtime' || kind === 'disk';
}

/** Plans what follows the failure of an image's `attempts`-th attempt. */
export function planRetry(kind: PullFailureKind, attempts: number, backoff: Backoff): RetryPlan {
  const delay = backoffDelay(backoff, attempts);
  return {
    state: kind === 'platform' ? 'skipped' : waitsForNode(kind) ? 'waiting' : 'failed',
    delay: waitsForChange(kind) ? Number.POSITIVE_INFINITY : delay,
    registryPause: kind === 'rate-limited' ? Math.max(delay, rateLimitPause * (0.5 + Math.random())) : 0,
  };
}
