import { PullFailure } from '../runtimes/pull-failure.ts';
import { type ImageState, newImageState } from './image-state.ts';
import { heldItsSlot } from './retry.ts';
import type { WantedImage } from './wanted-images.ts';

/**
 * An image of the list with what the queue has to remember of it. Times are those of `performance.now()`: a clock of the
 * node that is set must neither end a pull nor put one off.
 */
export type QueuedImage = {
  image: ImageState;
  /** It is known whether it is on the node. */
  looked: boolean;
  /** Ends the pull that is under way; undefined while none is. */
  cancel: AbortController | undefined;
  /** To be pulled although it is present: the policy is `Always` and the registry was not asked yet. */
  refresh: boolean;
  /** How many times in a row it was under way when the runtime went away. */
  losses: number;
  /** When the last attempt started. */
  startedAt: number;
  /** When the last byte came, or the runtime said that it waits for none. */
  lastByteAt: number;
  /** When the last byte came that may have been of this image or of another pull. */
  otherByteAt: number;
  /** When the last successful pull ended. */
  pulledAt: number;
  /** When a pull that failed is due again; infinity: when something changes. */
  retryAt: number;
};

/** An image that just came onto the list. */
export function queueImage(wanted: WantedImage): QueuedImage {
  return {
    image: newImageState(wanted),
    looked: false,
    cancel: undefined,
    refresh: wanted.pullPolicy === 'Always',
    losses: 0,
    startedAt: Number.NEGATIVE_INFINITY,
    lastByteAt: Number.NEGATIVE_INFINITY,
    otherByteAt: Number.NEGATIVE_INFINITY,
    pulledAt: Number.NEGATIVE_INFINITY,
    retryAt: Number.POSITIVE_INFINITY,
  };
}

/** Takes over the settings from a new list. With the policy `Always` only now, the registry is yet to be asked. */
export function requeueImage(item: QueuedImage, wanted: WantedImage): void {
  const wasAlways = item.image.wanted.pullPolicy === 'Always';
  item.refresh = wanted.pullPolicy === 'Always' && (item.refresh || !wasAlways);
  item.image = { ...item.image, wanted };
}

/** Whether its pull has got nothing at all from the registry for so many milliseconds, as far as can be told. */
export function isSilent(
  { cancel, image, startedAt, lastByteAt }: QueuedImage,
  milliseconds: number,
): boolean {
  const hasNothing = image.bytesTotal === null && image.bytesDone === 0;
  const silence = performance.now() - Math.max(startedAt, lastByteAt);
  return cancel !== undefined && image.state === 'pulling' && hasNothing && silence > milliseconds;
}

/** Whether its last attempt may have held a slot for long, for nothing. */
export function givesWay({ image: { failure } }: QueuedImage): boolean {
  return failure !== null && heldItsSlot(failure.kind);
}

/** When it is to be pulled, as far as it alone is concerned; infinity: it has no reason to. */
export function pullDueAt({ image, cancel, refresh, looked, retryAt }: QueuedImage): number {
  if (!looked || cancel || (image.state === 'present' && !refresh)) return Number.POSITIVE_INFINITY;
  return image.failure ? retryAt : 0;
}

/**
 * The failure of a pull of which no new byte came for `timeout` milliseconds, also if nothing came at all; undefined
 * otherwise. One that has all its bytes is being unpacked, however long that takes.
 */
export function stallOf(
  { cancel, image, startedAt, lastByteAt, otherByteAt }: QueuedImage,
  timeout: number,
): PullFailure | undefined {
  const { bytesDone, bytesTotal } = image;
  if (!cancel || image.state !== 'pulling' || (bytesTotal !== null && bytesDone >= bytesTotal))
    return undefined;
  if (performance.now() - Math.max(startedAt, lastByteAt, otherByteAt) <= timeout) return undefined;
  return new PullFailure('stalled', `stopped at ${bytesDone} of ${bytesTotal ?? 'unknown'} bytes`);
}
