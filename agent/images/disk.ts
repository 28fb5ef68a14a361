import { statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../base/failure.ts';
import type { KeepFree } from '../config.ts';

/** The room on the file system that holds the images. */
export type DiskSpace = {
  /** The directory on the node that was asked for, or the nearest one above it that is mounted here. */
  readonly path: string;
  readonly freeBytes: number;
  readonly keepFreeBytes: number;
};

/**
 * Measures the file system of `directory` on the node. Free is what the kubelet counts as available, which leaves out
 * the blocks that are reserved for root. Throws the file system's error.
 */
export async function measureDisk(
  directory: string,
  hostRoot: string,
  keepFree: KeepFree,
): Promise<DiskSpace> {
  for (let path = directory; ; path = dirname(path)) {
    try {
      const { bavail, blocks, bsize } = await statfs(join(hostRoot, path));
      const keepFreeBytes = 'share' in keepFree ? Math.ceil(keepFree.share * blocks * bsize) : keepFree.bytes;
      return { path, freeBytes: bavail * bsize, keepFreeBytes };
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || path === '/') throw error;
    }
  }
}

/** True while no pull may start or go on. */
export function isDiskLow(disk: DiskSpace | null): boolean {
  return disk !== null && disk.freeBytes < disk.keepFreeBytes;
}
