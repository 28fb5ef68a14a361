import assert from 'node:assert/strict';
import { join } from 'node:path';
import { knownSockets } from '../../agent/runtimes/known-sockets.ts';
import { nameOf } from './rendered.ts';

/** Where the nodes that a kustomization is for have what its pod needs; all paths are the node's. */
export type Places = {
  /** Where the runtime may listen. */
  readonly sockets: readonly string[];
  /** The root directory of the kubelet, which reads credentials from the config.json in it. */
  readonly kubeletRoot: string;
  /** The docker configs that are written. */
  readonly targets: readonly string[];
  /** The directory that the runtime names as that of its images. */
  readonly imageDirectory: string;
  /** The directory that is mounted for their file system; undefined if the container's own root lies on it. */
  readonly imageMount: string | undefined;
  /** Every directory that is mounted. */
  readonly mounted: readonly string[];
};

/** What a row of the table below says; the rest follows from it. */
type Row = Pick<Places, 'sockets' | 'kubeletRoot' | 'imageDirectory'> & {
  /** What is mounted for the sockets. */
  readonly socketMount: string;
  readonly imageMount?: string;
  readonly withoutDocker?: boolean;
};

const usual: Row = {
  sockets: knownSockets.flat().filter(socket => socket.startsWith('/run/')),
  socketMount: '/run',
  kubeletRoot: '/var/lib/kubelet',
  imageDirectory: '/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs',
};

// The sources of these paths stand in the manifests.
const rows: Readonly<Record<string, Row>> = {
  'the base': usual,
  'variants/selinux': usual,
  'variants/kubelet-only': { ...usual, withoutDocker: true },
  'variants/docker': {
    ...usual,
    sockets: ['/run/docker.sock'],
    imageDirectory: '/var/lib/docker',
    imageMount: '/var/lib/docker',
  },
  'variants/k3s': {
    ...usual,
    sockets: ['/run/k3s/containerd/containerd.sock'],
    socketMount: '/run/k3s',
    imageDirectory: '/var/lib/rancher/k3s/agent/containerd/io.containerd.snapshotter.v1.overlayfs',
  },
  'variants/k0s': {
    sockets: ['/run/k0s/containerd.sock'],
    socketMount: '/run/k0s',
    kubeletRoot: '/var/lib/k0s/kubelet',
    imageDirectory: '/var/lib/k0s/containerd/io.containerd.snapshotter.v1.overlayfs',
  },
  'variants/microk8s': {
    sockets: ['/var/snap/microk8s/common/run/containerd.sock'],
    socketMount: '/var/snap/microk8s/common/run',
    kubeletRoot: '/var/snap/microk8s/common/var/lib/kubelet',
    imageDirectory: '/var/snap/microk8s/common/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs',
  },
};

/** The places on the nodes that this kustomization is for. */
export function placesOf(kustomization: string): Places {
  const row = rows[nameOf(kustomization)];
  assert.ok(row, `say in pod-places.ts which nodes ${nameOf(kustomization)} is for`);
  const { sockets, socketMount, kubeletRoot, imageDirectory, imageMount, withoutDocker = false } = row;
  const dockers = withoutDocker ? [] : ['/root/.docker'];
  return {
    sockets,
    kubeletRoot,
    targets: [kubeletRoot, ...dockers].map(directory => join(directory, 'config.json')),
    imageDirectory,
    imageMount,
    mounted: [
      kubeletRoot,
      ...dockers,
      '/var/lib/pullready',
      socketMount,
      ...(imageMount ? [imageMount] : []),
    ],
  };
}
