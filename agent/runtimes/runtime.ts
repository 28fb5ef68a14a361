import type { SecretText } from '../base/secret-text.ts';

/** What the agent needs of a container runtime. An object stands for one connection; a lost one is not mended. */
export type Runtime = {
  /** As the runtime calls itself: `containerd`. */
  readonly name: string;
  readonly version: string;
  /** Where it listens on the node: `unix:///run/containerd/containerd.sock`. */
  readonly endpoint: string;
  /** Resolves when the connection is gone, for whatever reason. */
  readonly closed: Promise<void>;

  /** The names (`repository:tag`, `repository@digest`) of all images that are there, in one call. */
  listImages(signal: AbortSignal): Promise<ReadonlySet<string>>;

  /** Pulls an image, until `signal` aborts. Throws a PullFailure for everything that goes wrong. */
  pull(request: PullRequest, signal: AbortSignal): Promise<void>;

  /**
   * How far the pulls that are under way are, by the names of their images; a pull of which nothing is known yet is
   * left out. undefined where the runtime does not tell.
   */
  readonly progress:
    | ((pulls: readonly PullUnderWay[], signal: AbortSignal) => Promise<PullProgress>)
    | undefined;

  /** The directory on the node whose file system holds the images; undefined if the runtime does not say. */
  imageDirectory(signal: AbortSignal): Promise<string | undefined>;

  close(): void;
};

/** The image to pull and with what. */
export type PullRequest = {
  /** The normalised name: `docker.io/library/nginx:1.27`. */
  readonly name: string;
  /** Absent for an anonymous pull. */
  readonly credential?: { readonly username: string; readonly password: SecretText };
};

/** A pull whose progress is asked for. */
export type PullUnderWay = {
  readonly name: string;
  readonly registry: string;
  readonly repository: string;
  readonly digest: string | undefined;
  readonly startedAt: Date;
};

/** How far pulls are. */
export type PullProgress = {
  /** Bytes done and in total, by the name of the image. */
  readonly images: ReadonlyMap<string, { readonly bytesDone: number; readonly bytesTotal: number }>;
  /** Bytes of all that is being fetched and belongs to none of these images; that they grow is all they tell. */
  readonly otherBytes: number;
};
