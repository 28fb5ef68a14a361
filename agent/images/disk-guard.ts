import { formatByteSize } from '../base/byte-size.ts';
import { fileFailure } from '../base/file-failure.ts';
import type { KeepFree } from '../config.ts';
import { PullFailure } from '../runtimes/pull-failure.ts';
import { type DiskSpace, isDiskLow, measureDisk } from './disk.ts';

/** Watches over the room on the file system that holds the images. */
export class DiskGuard {
  readonly #hostRoot: string;
  readonly #onLow: (reason: PullFailure) => void;
  readonly #onRoom: () => void;
  /** The directory on the node that holds the images; undefined while no runtime has told. */
  directory: string | undefined;
  #space: DiskSpace | null = null;
  #problem: string | null = null;

  /**
   * `onLow` is called at every look that finds too little room: nothing may start, and what runs is to be cancelled.
   * `onRoom` is called at the first look after that which finds enough.
   */
  constructor(hostRoot: string, onLow: (reason: PullFailure) => void, onRoom: () => void) {
    this.#hostRoot = hostRoot;
    this.#onLow = onLow;
    this.#onRoom = onRoom;
  }

  /** What the last look found. */
  get space(): DiskSpace | null {
    return this.#space;
  }

  /** Why the last look found nothing. */
  get problem(): string | null {
    return this.#problem;
  }

  get isLow(): boolean {
    return isDiskLow(this.#space);
  }

  /** Measures the room. Where that fails, `problem` says so and nothing is guarded: an old measure may be of another disk. */
  async look(keepFree: KeepFree): Promise<void> {
    const measured = await this.#measure(keepFree);
    // Read only now: of two looks at the same time, each is to see what the other one found.
    const wasLow = this.isLow;
    this.#space = typeof measured === 'string' ? null : measured;
    this.#problem = typeof measured === 'string' ? measured : null;
    if (this.#space && isDiskLow(this.#space)) this.#onLow(lowFailure(this.#space));
    else if (wasLow) this.#onRoom();
  }

  /** The room, or why it is not known. */
  async #measure(keepFree: KeepFree): Promise<DiskSpace | string> {
    const { directory } = this;
    if (directory === undefined)
      return 'the container runtime does not say where its images are, so their disk is not watched';
    try {
      return await measureDisk(directory, this.#hostRoot, keepFree);
    } catch (error) {
      return fileFailure(`measuring the file system of ${directory}`, error).message;
    }
  }
}

function lowFailure({ path, freeBytes, keepFreeBytes }: DiskSpace): PullFailure {
  const room = `${formatByteSize(freeBytes)} are free on the file system of ${path}`;
  return new PullFailure('disk', `${room}, ${formatByteSize(keepFreeBytes)} are to be kept free`);
}
