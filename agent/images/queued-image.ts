import { PullFailure } from '../runtimes/pull-failure.ts';
import { type ImageState, newImageState } from './image-state.ts';
import type { WantedImage } from './wanted-images.ts';

/** An image of the list with what the queue has to remember of it. */
export type QueuedImage = {
  image: ImageState;
  /** It is known whether it is on the node. */
  looked: boolean;
  /** Ends the pull that is under way; undefined while none is. */
  cancel: AbortController | undefined;
  /** To be pulled although it is present: the policy is `Always` and the registry was not asked yet. */
  refresh: boolean;
  /** When the last byte came, in milliseconds since 1970. */
  lastByteAt: number;
  /** When the last successful pull ended, in milliseconds since 1970. */
  pulledAt: number;
};

/** An image that just came onto the list. */
export function queueImage(wanted: WantedImage): QueuedImage {
  return {
    image: newImageState(wanted),
    looked: false,
    cancel: undefined,
    refresh: wanted.pullPolicy === 'Always',
    lastByteAt: 0,
    pulledAt: 0,
  };
}

/** Takes over the settings from a new list. With the policy `Always` only now, the registry is yet to be asked. */
export function requeueImage(item: QueuedImage, wanted: WantedImage): void {
  const wasAlways = item.image.wanted.pullPolicy === 'Always';
  item.refresh = wanted.pullPolicy === 'Always' && (item.refresh || !wasAlways);
  item.image = { ...item.image, wanted };
}

/** Whether its pull has got nothing at all from the registry for so many milliseconds. */
export function isSilent({ cancel, image, lastByteAt }: QueuedImage, milliseconds: number): boolean {
  const since = image.startedAt?.getTime() ?? Number.POSITIVE_INFINITY;
  return (
    cancel !== undefined &&
    image.bytesTotal === null &&
    lastByteAt <= since &&
    Date.now() - since > milliseconds
  );
}

/** When it is to be pulled, as far as it alone is concerned, in milliseconds since 1970; infinity: it has no reason to. */
export function pullDueAt({ image, cancel, refresh, looked }: QueuedImage): number {
  if (!looked || cancel || (image.state === 'present' && !refresh)) return Number.POSITIVE_INFINITY;
  return image.failure ? (image.nextAttemptAt?.getTime() ?? Number.POSITIVE_INFINITY) : 0;
}

/**
 * The failure of a pull of which no new byte came for `timeout` milliseconds, also if nothing came at all; undefined
 * otherwise. One that has all its bytes is being unpacked, however long that takes.
 */
export function stallOf(
  { cancel, image, lastByteAt }: QueuedImage,
  timeout: number,
): PullFailure | undefined {
  const { bytesDone, bytesTotal, startedAt } = image;
  if (!cancel || (bytesTotal !== null && bytesDone >= bytesTotal)) return undefined;
  if (Date.now() - Math.max(lastByteAt, startedAt?.getTime() ?? 0) <= timeout) return undefined;
  return new PullFailure('stalled', `stopped at ${bytesDone} of ${bytesTotal ?? 'unknown'} bytes`);
}
