import type { PullFailureKind } from '../runtimes/pull-failure.ts';
import type { WantedImage } from './wanted-images.ts';

/** How an image of the list stands. */
export type ImageState = {
  readonly wanted: WantedImage;
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
