import { stat } from 'node:fs/promises';
import { type FSWatcher, watch } from 'chokidar';

/** What to watch. */
export type WatchOptions = {
  /** How many levels of subdirectories count. */
  readonly depth: number;
  /** Says of a path below a watched directory that it does not matter. */
  readonly ignored?: (path: string) => boolean;
  /** Called for every event, however it is named: an event is a hint to look again, and never the truth. */
  readonly onHint: () => void;
  /** Called with what goes wrong (no more inotify watches): from then on only the periodic look is left. */
  readonly onError: (error: unknown) => void;
};

/** Watches directories for changes of what is in them. */
export class DirectoryWatch {
  readonly #watcher: FSWatcher;
  readonly #watched = new Map<string, string>();

  constructor({ depth, ignored, onHint, onError }: WatchOptions) {
    // Links are not followed: the kubelet's `..data` is a link, and that it now points elsewhere is the news. What is
    // there when the watching begins is told too, so that no change slips in between a look and the watching.
    this.#watcher = watch([], {
      depth,
      followSymlinks: false,
      ...(ignored && { ignored: (path: string) => !this.#watched.has(path) && ignored(path) }),
    });
    this.#watcher.on('all', onHint);
    this.#watcher.on('error', onError);
  }

  /**
   * Watches exactly these directories from now on. To be called at every look: a directory that is not there yet, or
   * was replaced by another of the same name, is watched from the first call that finds it.
   */
  async follow(directories: readonly string[]): Promise<void> {
    for (const directory of this.#watched.keys())
      if (!directories.includes(directory)) this.#forget(directory);
    for (const directory of directories) {
      const identity = await identityOf(directory);
      if (identity === this.#watched.get(directory)) continue;
      this.#forget(directory);
      if (identity === undefined) continue;
      this.#watched.set(directory, identity);
      this.#watcher.add(directory);
    }
  }

  async close(): Promise<void> {
    await this.#watcher.close();
  }

  #forget(directory: string): void {
    if (this.#watched.delete(directory)) this.#watcher.unwatch(directory);
  }
}

async function identityOf(directory: string): Promise<string | undefined> {
  return stat(directory).then(
    ({ dev, ino }) => `${dev}:${ino}`,
    () => undefined,
  );
}
