import { mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import type { IVolume } from 'kubernetes-models/v1/Volume';

/** A rendered pod, and what its volumes are made of. */
export type PodWithVolumes = {
  readonly pod: IPodSpec;
  readonly container: IContainer;
  /** The data of ConfigMaps and Secrets, by their names. */
  readonly objects: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** The directory that stands in for the root of the node. */
  readonly node: string;
  /** An empty directory for the volumes of ConfigMaps and Secrets. */
  readonly directory: string;
};

/** A directory of this machine as the container sees it. */
export type PodMount = {
  readonly source: string;
  readonly destination: string;
  readonly readOnly: boolean;
  readonly propagation: 'rslave' | 'rprivate';
};

/** Makes the volumes of a pod as the kubelet would, and says where the container has them. */
export function podMounts(options: PodWithVolumes): Promise<readonly PodMount[]> {
  const mounts = options.container.volumeMounts ?? [];
  return Promise.all(
    mounts.map(async ({ name, mountPath, readOnly, mountPropagation }) => ({
      destination: mountPath,
      source: await volumeSource(name, options),
      readOnly: readOnly === true,
      propagation: mountPropagation === 'HostToContainer' ? 'rslave' : 'rprivate',
    })),
  );
}

async function volumeSource(name: string, options: PodWithVolumes): Promise<string> {
  const volume = options.pod.volumes?.find(candidate => candidate.name === name);
  if (volume === undefined) throw new Error(`the pod has no volume ${name}`);
  if (volume.hostPath) return hostDirectory(volume.hostPath, options.node);
  return objectVolume(volume, options);
}

async function hostDirectory(hostPath: NonNullable<IVolume['hostPath']>, node: string): Promise<string> {
  const source = join(node, hostPath.path);
  if (hostPath.type === 'DirectoryOrCreate') await mkdir(source, { recursive: true, mode: 0o755 });
  if (!(await stat(source)).isDirectory()) throw new Error(`${source} is not a directory`);
  return source;
}

/** Lays a ConfigMap or Secret out as the kubelet does: the files behind two symbolic links. */
async function objectVolume(volume: IVolume, { directory, objects }: PodWithVolumes): Promise<string> {
  const source = join(directory, 'volumes', volume.name);
  const data = objects[volume.configMap?.name ?? volume.secret?.secretName ?? ''] ?? {};
  await mkdir(join(source, '..2025_01_01'), { recursive: true });
  await symlink('..2025_01_01', join(source, '..data'));
  for (const [name, content] of Object.entries(data)) {
    await writeFile(join(source, '..2025_01_01', name), content, {
      mode: volume.secret?.defaultMode ?? 0o644,
    });
    await symlink(`..data/${name}`, join(source, name));
  }
  return source;
}
