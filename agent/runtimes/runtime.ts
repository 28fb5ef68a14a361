import type { SecretText } from '../base/secret-text.ts';

/** What the agent needs of a container runtime. An object stands for one connection; a lost one is not mended. */
export type Runtime = {
  /** As the runtime calls itself: `containerd`. */
  readonly name: string;
  readonly version: string;
  /** Where it listens on the node: `unix:///run/containerd/containerd.sock`. */
  readonly endpoint: string;
  /** Resolves when the connection is gone, with why. One whose runtime hangs is given up after some 10 seconds. */
  readonly closed: Promise<string>;

  /** All images that are there, in one call. */
  listImages(signal: AbortSignal): Promise<PresentImages>;

  /** Pulls an image, until `signal` aborts. Throws a PullFailure for everything that goes wrong. */
  pull(request: PullRequest, signal: AbortSignal): Promise<void>;

  /**
   * How far the pulls that are under way are, by the names of their images; a pull of which nothing is known yet is
   * left out. undefined where the runtime does not tell.
   */
  readonly progress:
    | ((pulls: readonly PullUnderWay[], signal: AbortSignal) => Promise<PullProgress>)
    | undefined;

  /** Pinning images; undefined where the runtime cannot. */
  readonly pins: Pins | undefined;

  /**
   * Calls `onDelete` whenever an image is deleted, by whomever, until `signal` aborts; rejects if that ends before.
   * undefined where the runtime does not tell.
   */
  readonly watchDeletions: ((onDelete: () => void, signal: AbortSignal) => Promise<void>) | undefined;

  /** The directory on the node whose file system holds the images; undefined if the runtime does not say. */
  imageDirectory(signal: AbortSignal): Promise<string | undefined>;

  /** Whether pods of a kubelet run here. Throws a Failure. */
  hasPods(signal: AbortSignal): Promise<boolean>;

  close(): void;
};

/** The images that are there, by each of their names (`repository:tag`, `repository@digest`). */
export type PresentImages = ReadonlyMap<string, PresentImage>;

/** An image that is there. */
export type PresentImage = {
  /** What the runtime calls its content: `sha256:...`. */
  readonly id: string;
  /** The runtime tells the kubelet that it is pinned, whoever did that. */
  readonly isPinned: boolean;
};

/** Keeping images from the kubelet's garbage collection. */
export type Pins = {
  /** The ids of the images that are pinned: by us, and by others. Throws a Failure. */
  list(signal: AbortSignal): Promise<PinnedImages>;
  /** Pins an image that others have not pinned. One that is gone is no failure. Throws a Failure. */
  pin(id: string, signal: AbortSignal): Promise<void>;
  /** Takes our own pin away. One that is gone is no failure. Throws a Failure. */
  unpin(id: string, signal: AbortSignal): Promise<void>;
};

/** The ids of pinned images, by whose pin it is. */
export type PinnedImages = {
  readonly ours: ReadonlySet<string>;
  readonly others: ReadonlySet<string>;
  /** Not pinned any more, but still marked as ours: somebody took the pin away. */
  readonly lost: ReadonlySet<string>;
};

/** The image to pull and with what. */
export type PullRequest = {
  /** The normalised name: `docker.io/library/nginx:1.27`. */
  readonly name: string;
  /** Absent for an anonymous pull. */
  readonly credential?: RegistryCredential;
};

/** What a registry is shown: a user name with its password, or a token that is exchanged there for others. */
export type RegistryCredential =
  | { readonly username: string; readonly password: SecretText }
  | { readonly identityToken: SecretText };

/** A pull whose progress is asked for. */
export type PullUnderWay = {
  readonly name: string;
  readonly registry: string;
  readonly repository: string;
  readonly digest: string | undefined;
  /** Milliseconds since it started, whatever became of the node's clock. */
  readonly age: number;
};

/** How far one pull is, in bytes. */
export type MeasuredPull = {
  readonly bytesDone: number;
  /** null until it is known. */
  readonly bytesTotal: number | null;
  /** false while none is to come: the runtime unpacks, or has the pull wait for its turn. */
  readonly awaitsBytes?: boolean;
};

/** How far pulls are. */
export type PullProgress = {
  /** By the name of the image. */
  readonly images: ReadonlyMap<string, MeasuredPull>;
  /** Bytes of all that is being fetched and belongs to none of these images; that they grow is all they tell. */
  readonly otherBytes: number;
};
