import type { DiskSpace } from './disk.ts';
import type { ImageState } from './image-state.ts';
import type { IoPressure } from './io-guard.ts';
import type { UnusableImage } from './wanted-images.ts';

/** The runtime as far as it is known. */
export type RuntimeState = {
  readonly state: 'connected' | 'unavailable' | 'none';
  readonly name: string | null;
  readonly version: string | null;
  readonly endpoint: string | null;
  /** As a clause, why this one is used and what was passed over. */
  readonly reason: string | null;
  /** Why it is unavailable. */
  readonly problem: string | null;
  /** What it does beyond CRI; null while it is not known. */
  readonly capabilities: RuntimeCapabilities | null;
};

/** What only some runtimes do: tell the progress of a pull, pin images, tell that one was deleted. */
type RuntimeCapabilities = {
  readonly progress: boolean;
  readonly pins: boolean;
  readonly deletions: boolean;
};

/** Everything about images as of now. */
export type ImagesState = {
  readonly runtime: RuntimeState;
  /** In the order in which they are pulled. */
  readonly images: readonly ImageState[];
  readonly unusable: readonly UnusableImage[];
  /** What the list says that its writer may not have meant. */
  readonly listWarnings: readonly string[];
  readonly disk: DiskSpace | null;
  /** Why the room on the disk is not known. */
  readonly diskProblem: string | null;
  /** The pressure on the node's disks, while it is too high for a pull to start. */
  readonly ioPressure: IoPressure | null;
  /** Why pulls do not wait for the pressure although they should. */
  readonly ioProblem: string | null;
  /** The names of the images of the list that are pinned. */
  readonly pinned: ReadonlySet<string>;
  /** Why pins are not as they should be. */
  readonly pinProblem: string | null;
  /** The runtime keeps pins and does not tell the kubelet of them. */
  readonly pinsUntold: boolean;
};
