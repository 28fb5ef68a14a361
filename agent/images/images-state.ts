import type { DiskSpace } from './disk.ts';
import type { ImageState } from './image-state.ts';
import type { UnusableImage } from './wanted-images.ts';

/** The runtime as far as it is known. */
export type RuntimeState = {
  readonly state: 'connected' | 'unavailable' | 'none';
  readonly name: string | null;
  readonly version: string | null;
  readonly endpoint: string | null;
  /** Why it is unavailable. */
  readonly problem: string | null;
};

/** Everything about images as of now. */
export type ImagesState = {
  readonly runtime: RuntimeState;
  /** In the order in which they are pulled. */
  readonly images: readonly ImageState[];
  readonly unusable: readonly UnusableImage[];
  readonly disk: DiskSpace | null;
  /** Why the room on the disk is not known. */
  readonly diskProblem: string | null;
};
