import { formatDuration } from '../base/duration.ts';
import type { PullKeyring } from '../docker-config/pull-keyring.ts';
import type { ImageReference } from '../image-reference.ts';
import { PullFailure } from '../runtimes/pull-failure.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import { needsCredentials } from './retry.ts';

/** One attempt to pull one image. */
export type PullAttemptOptions = {
  readonly runtime: Pick<Runtime, 'pull'>;
  readonly reference: ImageReference;
  /** The credentials in force; without any, the pull is anonymous. */
  readonly keyring: () => PullKeyring | undefined;
  /** Milliseconds that the attempt may take, from its start. */
  readonly timeout: number;
};

/**
 * Pulls an image with each credential in turn until one succeeds, as the kubelet does; there is no anonymous try after
 * them. Throws a PullFailure, or the reason of `signal` once it has aborted.
 */
export async function attemptPull(options: PullAttemptOptions, signal: AbortSignal): Promise<void> {
  const { timeout } = options;
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeout);
  try {
    await pullWithNewest(options, AbortSignal.any([signal, deadline.signal]));
  } catch (error) {
    signal.throwIfAborted();
    if (!deadline.signal.aborted) throw error;
    throw new PullFailure('timeout', `not done after ${formatDuration(timeout)}`, error);
  } finally {
    clearTimeout(timer);
  }
}

/** Credentials that came while others were being refused are tried at once: nobody else would try them. */
async function pullWithNewest(options: PullAttemptOptions, signal: AbortSignal): Promise<void> {
  for (;;) {
    const keyring = options.keyring();
    try {
      return await pullWith(keyring, options, signal);
    } catch (error) {
      const isRefused = error instanceof PullFailure && needsCredentials(error.kind);
      if (signal.aborted || !isRefused || keyring === options.keyring()) throw error;
    }
  }
}

async function pullWith(
  keyring: PullKeyring | undefined,
  { runtime, reference: { name, repository } }: PullAttemptOptions,
  signal: AbortSignal,
): Promise<void> {
  const credentials = keyring?.lookup(repository) ?? [];
  const tries = credentials.length > 0 ? credentials.map(credential => ({ name, credential })) : [{ name }];
  let failure: unknown;
  for (const request of tries) {
    try {
      return await runtime.pull(request, signal);
    } catch (error) {
      failure = error;
      // Another credential cannot help if it is not the credential that failed.
      const mayHelp = error instanceof PullFailure && needsCredentials(error.kind);
      if (signal.aborted || !mayHelp) break;
    }
  }
  throw failure;
}
