import { dockerSocket, type SocketLook } from './known-sockets.ts';
import type { Runtime } from './runtime.ts';

/** The runtime that was used until its connection was lost. */
export type FormerRuntime = {
  /** Its socket: `/run/containerd/containerd.sock`. */
  readonly path: string;
  /** When the connection was lost, in milliseconds since 1970. */
  readonly lostAt: number;
  /** For how many milliseconds its socket was not there; undefined while it is. */
  readonly goneFor: number | undefined;
};

/** A choice and, as a clause, why it was made. */
export type Choice = { readonly path: string; readonly runtime: Runtime; readonly reason: string };

/** Runtimes take their socket away when they are stopped, so that one that is gone may only be restarting for as long. */
const restartMilliseconds = 60_000;

/**
 * Decides which of the runtimes that answer is the node's; undefined if none is. The one that has pods serves the
 * kubelet, and in a cluster our own pod is always there. Another one, which may stand idle beside the kubelet's, takes
 * the place of the former only if that has left.
 */
export function chooseRuntime(
  looks: readonly SocketLook[],
  former: FormerRuntime | undefined,
): Choice | undefined {
  const answering = looks.flatMap(({ runtime, ...look }) => (runtime ? [{ ...look, runtime }] : []));
  const serving = answering.find(({ hasPods }) => hasPods);
  if (serving) return { ...serving, reason: 'pods of a kubelet run there' };
  const same = answering.find(({ path }) => path === former?.path);
  if (same) return { ...same, reason: 'it was used before, and no pods run elsewhere' };
  const free = answering.filter(look => !former || hasReplaced(look, former));
  // Without a kubelet a host is there for docker: builds are run with it, and what else answers is most often the
  // containerd that docker uses.
  const docker = free.find(({ path }) => path === dockerSocket);
  const [chosen] = docker ? [docker] : free;
  return chosen && { ...chosen, reason: reasonWithoutPods(answering.length, docker !== undefined) };
}

/** Whether this one came after the former had gone, or that has been gone for so long that it is no restart. */
function hasReplaced({ madeAt }: SocketLook, { lostAt, goneFor }: FormerRuntime): boolean {
  return goneFor !== undefined && (madeAt > lostAt || goneFor > restartMilliseconds);
}

function reasonWithoutPods(answering: number, isDocker: boolean): string {
  if (answering === 1) return 'no other one answers';
  return `no pods run anywhere, and ${isDocker ? 'docker is what hosts without a kubelet use' : 'it is the first of the known ones'}`;
}
