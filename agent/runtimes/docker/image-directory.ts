import { join } from 'node:path';
import { z } from 'zod';

/** What `GET /info` answers, as far as it is needed. */
export const engineInfo = z.object({
  DockerRootDir: z.string().optional(),
  DriverStatus: z.array(z.tuple([z.string(), z.string()]).rest(z.string())).nullish(),
  Containerd: z.object({ Address: z.string() }).nullish(),
});

/**
 * Where the images are; undefined if it does not say. Docker with its own store has them in
 * its directory. With containerd's store they are in containerd's: below docker's if docker has started that one itself,
 * else in a directory that only containerd knows, which is /var/lib/containerd where nobody configured another.
 */
export function imageDirectoryOf(info: z.infer<typeof engineInfo>): string | undefined {
  const { DockerRootDir, DriverStatus, Containerd } = info;
  const usesContainerd = DriverStatus?.some(
    ([key, value]) => key === 'driver-type' && /^io\.containerd\./.test(value),
  );
  if (!usesContainerd || DockerRootDir === undefined) return DockerRootDir;
  const isOwn = Containerd?.Address.endsWith('/docker/containerd/containerd.sock');
  return isOwn ? join(DockerRootDir, 'containerd/daemon') : '/var/lib/containerd';
}
