import type { Docker, Printed } from './agent-image-build.ts';
import { memoryLimit } from './pod-memory.ts';
import { type PodWithVolumes, podMounts } from './pod-volumes.ts';

/** A pod whose container is run by docker instead of the kubelet. */
type PodOnDocker = PodWithVolumes & {
  readonly docker: Docker;
  readonly image: string;
  /** Another program of the image than its own. */
  readonly entrypoint?: string;
  readonly args: readonly string[];
};

/**
 * Runs the container of a pod to its end, with the volumes, the user, the capabilities, the read-only root and the
 * limit of memory of the pod. Docker's standard filter of system calls is its RuntimeDefault. Rejects if the program
 * ends with another status than 0.
 */
export async function runPod(options: PodOnDocker): Promise<Printed> {
  const { docker, image, entrypoint, args } = options;
  const program = entrypoint === undefined ? [] : ['--entrypoint', entrypoint];
  const confinement = [...securityFlags(options), ...(await mountFlags(options))];
  const environment = ['--env', 'NODE_NAME=node-1'];
  const manners = ['--rm', '--stop-timeout=1', '--network=none'];
  return docker('run', ...manners, ...confinement, ...environment, ...program, image, ...args);
}

function securityFlags({ pod, container }: PodOnDocker): readonly string[] {
  const { capabilities, allowPrivilegeEscalation, readOnlyRootFilesystem } = container.securityContext ?? {};
  const { runAsUser, runAsGroup } = pod.securityContext ?? {};
  return [
    ...(capabilities?.drop ?? []).map(capability => `--cap-drop=${capability}`),
    ...(allowPrivilegeEscalation === false ? ['--security-opt=no-new-privileges'] : []),
    ...(readOnlyRootFilesystem === true ? ['--read-only'] : []),
    `--user=${runAsUser}:${runAsGroup}`,
    `--memory=${memoryLimit(container)}`,
  ];
}

async function mountFlags(options: PodOnDocker): Promise<readonly string[]> {
  return (await podMounts(options)).map(({ source, destination, readOnly, propagation }) => {
    const fields = [
      'type=bind',
      `source=${source}`,
      `target=${destination}`,
      `bind-propagation=${propagation}`,
    ];
    return `--mount=${[...fields, ...(readOnly ? ['readonly'] : [])].join(',')}`;
  });
}
