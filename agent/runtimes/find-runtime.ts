import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, messageOf } from '../base/failure.ts';
import { connectCri } from './cri/cri-runtime.ts';
import type { Runtime } from './runtime.ts';

/** Where runtimes listen on the nodes of the common distributions; the first one that answers is used. */
const knownSockets = [
  '/run/containerd/containerd.sock',
  '/run/k3s/containerd/containerd.sock',
  '/var/snap/microk8s/common/run/containerd.sock',
  '/run/k0s/containerd.sock',
  '/run/crio/crio.sock',
  '/run/cri-dockerd.sock',
] as const;

/**
 * Connects to the runtime that `uri` names (`unix:///path/on/the/node`), or for `auto` to the first of the known places
 * that answers. Throws a Failure that says of every place what is wrong with it.
 */
export async function findRuntime(uri: string, hostRoot: string, signal: AbortSignal): Promise<Runtime> {
  if (uri !== 'auto') return connectCri(socketOnNode(uri, hostRoot), uri, signal);
  const complaints: string[] = [];
  for (const path of knownSockets) {
    const socketPath = join(hostRoot, path);
    if (!(await exists(socketPath))) continue;
    try {
      return await connectCri(socketPath, `unix://${path}`, signal);
    } catch (error) {
      complaints.push(messageOf(error));
    }
  }
  throw new Failure({
    tried: 'looking for a container runtime',
    problem:
      complaints.length > 0 ? complaints.join(', ') : `there is no socket at ${knownSockets.join(', ')}`,
    advice: 'start the runtime, mount the directory of its socket, or say where it is with --runtime',
  });
}

function socketOnNode(uri: string, hostRoot: string): string {
  // /var/run is a link to /run everywhere, and an absolute one would lead out of the node's root as mounted here.
  return join(hostRoot, uri.slice('unix://'.length).replace(/^\/var\/run\//, '/run/'));
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
