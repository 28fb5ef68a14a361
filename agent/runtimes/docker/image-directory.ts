import { join } from 'node:path';
import { z } from 'zod';
import { listOf } from './docker-answer.ts';

/** What `GET /info` answers, as far as it is needed. */
export const engineInfo = z.object({
  DockerRootDir: z.string().optional(),
  DriverStatus: listOf(listOf(z.string())).nullish(),
  Containerd: z.object({ Address: z.string() }).nullish(),
});

/**
 * Where the images are; undefined if it does not say, or says what is no path. Docker with its own store has them in
 * its directory. With containerd's store they are in containerd's: below docker's if docker has started that one itself,
 * else in a directory that only containerd knows, which is /var/lib/containerd where nobody configured another.
 */
export function imageDirectoryOf(info: z.infer<typeof engineInfo>): string | undefined {
  const { DockerRootDir, DriverStatus, Containerd } = info;
  const usesContainerd = DriverStatus?.some(
    ([key, value = '']) => key === 'driver-type' && /^io\.containerd\./.test(value),
  );
  if (DockerRootDir === undefined || !isPath(DockerRootDir)) return undefined;
  if (!usesContainerd) return DockerRootDir;
  const isOwn = Containerd?.Address.endsWith('/docker/containerd/containerd.sock');
  return isOwn ? join(DockerRootDir, 'containerd/daemon') : '/var/lib/containerd';
}

function isPath(text: string): boolean {
  return /^\/\P{Cc}*$/u.test(text) && Buffer.byteLength(text) < 4_096;
}
