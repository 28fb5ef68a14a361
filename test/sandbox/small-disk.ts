import { execFile } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { cleanUp } from './cleanup.ts';

const run = promisify(execFile);

/** A real file system of its own, small enough to be filled. */
export type SmallDisk = {
  /** Where it is mounted. */
  readonly path: string;
  /** Bytes that are free for everybody, without those that are reserved for root. */
  free(): number;
  /** Fills it with a file until so many bytes are free; the file of an earlier call goes first. */
  fillTo(freeBytes: number): Promise<void>;
  /** Takes that file away. */
  empty(): Promise<void>;
  /** The lowest number of free bytes in looks every 10 ms from now on, at the time of the call. */
  watch(): () => number;
};

/** Mounts an ext4 of so many bytes during a test, from the file `path`.img by way of a loop device. */
export async function mountSmallDisk(test: TestContext, path: string, bytes: number): Promise<SmallDisk> {
  const file = `${path}.img`;
  await mkdir(path, { recursive: true });
  await writeFile(file, '');
  await truncate(file, bytes);
  await run('mkfs.ext4', ['-q', file]);
  await run('mount', ['-o', 'loop', file, path]);
  cleanUp(test, () => run('umount', [path]));

  const filler = join(path, 'filler');
  const free = () => {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  };
  const empty = () => rm(filler, { force: true });
  return {
    path,
    free,
    empty,
    async fillTo(freeBytes) {
      await empty();
      await run('fallocate', ['--length', String(free() - freeBytes), filler]);
    },
    watch() {
      let lowest = free();
      const timer = setInterval(() => {
        lowest = Math.min(lowest, free());
      }, 10);
      cleanUp(test, () => clearInterval(timer));
      return () => lowest;
    },
  };
}
