import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, problemOf } from '../base/failure.ts';
import { connectCri } from './cri/cri-runtime.ts';
import { connectDocker } from './docker/docker-runtime.ts';
import type { Runtime } from './runtime.ts';

/** Docker's own socket. */
export const dockerSocket = '/run/docker.sock';

/**
 * Where runtimes listen on the nodes of the common distributions, in the order in which they are preferred; of docker's
 * two docker's own API tells more. The second group is only asked if no pods run in the first: systemd listens at these
 * sockets, and would start docker on a node that has it installed and does without.
 *
 * Podman's /run/podman/podman.sock is not among them for the same reason, and because no kubelet runs its pods there:
 * who wants images in its store says so with --runtime.
 */
export const knownSockets = [
  [
    '/run/containerd/containerd.sock',
    '/run/k3s/containerd/containerd.sock', // k3s and RKE2
    '/var/snap/microk8s/common/run/containerd.sock',
    '/run/k0s/containerd.sock',
    '/run/crio/crio.sock',
  ],
  [dockerSocket, '/run/cri-dockerd.sock'],
] as const;

/** A known place that has a socket. */
export type SocketLook = {
  readonly path: string;
  /** When the socket was made, in milliseconds since 1970. */
  readonly madeAt: number;
  /** What answers there; undefined if nothing does. Whoever looked closes it. */
  readonly runtime: Runtime | undefined;
  /** Pods of a kubelet run there; false if that cannot be learned. */
  readonly hasPods: boolean;
  /** In a few words what was met: `nothing listens there`. */
  readonly remark: string;
};

/** To list pods costs a runtime nothing; one that takes longer has other troubles. */
const podsTimeoutMilliseconds = 10_000;

/** Looks at these places on the node, at all at the same time, and leaves out those without a socket. Never rejects. */
export async function lookAtSockets(
  paths: readonly string[],
  hostRoot: string,
  signal: AbortSignal,
): Promise<readonly SocketLook[]> {
  const looks = await Promise.all(paths.map(path => lookAt(path, hostRoot, signal)));
  return looks.filter(look => look !== undefined);
}

async function lookAt(path: string, hostRoot: string, signal: AbortSignal): Promise<SocketLook | undefined> {
  const socketPath = join(hostRoot, path);
  const madeAt = await madeAtOf(socketPath);
  if (madeAt === undefined) return undefined;
  try {
    const connect = path === dockerSocket ? connectDocker : connectCri;
    const runtime = await connect(socketPath, `unix://${path}`, signal);
    return { path, madeAt, runtime, ...(await askForPods(runtime, signal)) };
  } catch (error) {
    return { path, madeAt, runtime: undefined, hasPods: false, remark: problemOf(error) };
  }
}

async function madeAtOf(socketPath: string): Promise<number | undefined> {
  try {
    return (await stat(socketPath)).mtimeMs;
  } catch (error) {
    // For any other reason than that nothing is there, connecting fails as well, and tells it.
    return ['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '') ? undefined : 0;
  }
}

async function askForPods(
  runtime: Runtime,
  signal: AbortSignal,
): Promise<Pick<SocketLook, 'hasPods' | 'remark'>> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(podsTimeoutMilliseconds)]);
  try {
    const hasPods = await runtime.hasPods(deadline);
    return { hasPods, remark: hasPods ? 'it answers and has pods, too' : 'it answers and has no pods' };
  } catch (error) {
    return { hasPods: false, remark: `it answers and does not tell of its pods: ${problemOf(error)}` };
  }
}
