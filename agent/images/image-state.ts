import type { PullFailure, PullFailureKind } from '../runtimes/pull-failure.ts';
import type { MeasuredPull } from '../runtimes/runtime.ts';
import type { WantedImage } from './wanted-images.ts';

/** How an image of the list stands. */
export type ImageState = {
  readonly wanted: WantedImage;
  /** False once it has left the list; nothing is told of it after that. */
  readonly listed: boolean;
  /**
   * `present`: it is on the node; `pulling`: it is being pulled; `waiting`: it will be, when a slot, the disk or the
   * runtime allows; `failed`: the last attempt failed; `skipped`: there is nothing in it for this node's platform.
   */
  readonly state: 'present' | 'pulling' | 'waiting' | 'failed' | 'skipped';
  /**
   * It is on the node; for the policy `Always`, the registry also was asked once since it came onto the list. Stays
   * true while a later look at the registry is under way or fails.
   */
  readonly warm: boolean;
  readonly failure: { readonly kind: PullFailureKind; readonly message: string } | null;
  /** Attempts since the image was last present, or since it came onto the list. */
  readonly attempts: number;
  /** Bytes of the attempt that is under way, or of the last one that succeeded. */
  readonly bytesDone: number;
  readonly bytesTotal: number | null;
  /** When a failed pull is tried again; null: when something changes (credentials, the list, the next resync). */
  readonly nextAttemptAt: Date | null;
  readonly startedAt: Date | null;
  /** How long the last successful pull took, in milliseconds. */
  readonly durationMs: number | null;
};

/** An image that just came onto the list. */
export function newImageState(wanted: WantedImage): ImageState {
  return {
    wanted,
    listed: true,
    state: 'waiting',
    warm: false,
    failure: null,
    attempts: 0,
    bytesDone: 0,
    bytesTotal: null,
    nextAttemptAt: null,
    startedAt: null,
    durationMs: null,
  };
}

/** What changes when the runtime says that the image is there, and nothing has to be asked of the registry. */
export function found(): Partial<ImageState> {
  return { state: 'present', warm: true, failure: null, nextAttemptAt: null };
}

/** What changes when an image that was there is gone from the node. */
export function gone(): Partial<ImageState> {
  const bytes = { bytesDone: 0, bytesTotal: null };
  return { state: 'waiting', warm: false, failure: null, nextAttemptAt: null, attempts: 0, ...bytes };
}

/** What changes when an attempt starts. */
export function started({ state, failure, attempts }: ImageState): Partial<ImageState> {
  // A later look at the registry, for the policy Always, begins to count anew.
  const attempt = state === 'present' && !failure ? 1 : attempts + 1;
  const bytes = { bytesDone: 0, bytesTotal: null };
  return { state: 'pulling', attempts: attempt, ...bytes, nextAttemptAt: null, startedAt: new Date() };
}

/** What changes when so many bytes are there; undefined if nothing does. Never backwards, whatever the store forgets. */
export function progressed(image: ImageState, measured: MeasuredPull): Partial<ImageState> | undefined {
  const { bytesTotal } = measured;
  // With another total it is another manifest that is measured, and it begins where it is.
  const isSame = bytesTotal === image.bytesTotal;
  const bytesDone = isSame ? Math.max(measured.bytesDone, image.bytesDone) : measured.bytesDone;
  return isSame && bytesDone === image.bytesDone ? undefined : { bytesDone, bytesTotal };
}

/** What changes when an attempt succeeds, after so many milliseconds. */
export function pulled({ bytesDone, bytesTotal }: ImageState, durationMs: number): Partial<ImageState> {
  return { state: 'present', warm: true, failure: null, bytesDone: bytesTotal ?? bytesDone, durationMs };
}

/** What changes when an attempt fails, and what becomes of the image if it is not there. */
export function failed(
  { warm }: ImageState,
  { kind, message }: PullFailure,
  next: { readonly state: ImageState['state']; readonly nextAttemptAt: Date | null },
): Partial<ImageState> {
  return {
    state: warm ? 'present' : next.state,
    failure: { kind, message },
    nextAttemptAt: next.nextAttemptAt,
  };
}
