import { wait } from '../base/bell.ts';
import { messageOf } from '../base/failure.ts';
import type { Logger } from '../base/log.ts';
import type { Runtime } from '../runtimes/runtime.ts';

/** How long is waited after a deletion for others, in milliseconds. */
const gatherMilliseconds = 500;

/** After the runtime has ceased to tell of deletions, it is asked to again this much later, in milliseconds. */
const retryMilliseconds = 60_000;

/**
 * Calls `onDeleted` soon after images were deleted, by whomever, until `signal` aborts. Many at a time, as the kubelet
 * deletes them, are one call; so is the time in which the runtime did not tell. One that tells nothing ends this at
 * once: there, what is gone is found at the next resync.
 */
export async function followDeletions(
  { watchDeletions }: Pick<Runtime, 'watchDeletions'>,
  onDeleted: () => void,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  let isDue = false;
  const onDelete = () => {
    if (isDue) return;
    isDue = true;
    void wait(gatherMilliseconds, signal).then(() => {
      isDue = false;
      onDeleted();
    });
  };
  while (watchDeletions && !signal.aborted) {
    await watchDeletions(onDelete, signal).catch(error => {
      if (!signal.aborted) log.debug(`deletions are not told: ${messageOf(error)}`);
    });
    await wait(retryMilliseconds, signal);
    onDeleted();
  }
}
