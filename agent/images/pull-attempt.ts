import { formatDuration } from '../base/duration.ts';
import type { Credential } from '../credentials/entry.ts';
import { PullFailure } from '../runtimes/pull-failure.ts';
import type { Runtime } from '../runtimes/runtime.ts';

/** One attempt to pull one image. */
export type PullAttemptOptions = {
  readonly runtime: Runtime;
  readonly name: string;
  /** All that match, in the order in which the kubelet would try them; none means anonymous. */
  readonly credentials: readonly Credential[];
  /** Milliseconds that the attempt may take, from its start. */
  readonly timeout: number;
};

/**
 * Pulls an image with each credential in turn until one succeeds, as the kubelet does; there is no anonymous try after
 * them. Throws a PullFailure, or the reason of `signal` once it has aborted.
 */
export async function attemptPull(options: PullAttemptOptions, signal: AbortSignal): Promise<void> {
  const { runtime, name, credentials, timeout } = options;
  const deadline = AbortSignal.timeout(timeout);
  const either = AbortSignal.any([signal, deadline]);
  const tries = credentials.length > 0 ? credentials.map(credential => ({ name, credential })) : [{ name }];
  let failure: unknown;
  for (const request of tries) {
    try {
      await runtime.pull(request, either);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (deadline.aborted)
        throw new PullFailure('timeout', `not done after ${formatDuration(timeout)}`, error);
      failure = error;
      // Another credential cannot help if it is not the credential that failed.
      if (error instanceof PullFailure && error.kind !== 'auth' && error.kind !== 'not-found') break;
    }
  }
  throw failure;
}
