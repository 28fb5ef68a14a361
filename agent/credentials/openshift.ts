import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The one docker config that OpenShift's machine-config-operator writes; it degrades a node where that was changed. */
const managedFile = '/var/lib/kubelet/config.json';

/**
 * Whether the file at this path of the node is under OpenShift's machine-config-operator. Its daemon runs on every
 * node: by its own state, where that is mounted, or by the directory that the kubelet keeps for its container.
 * https://github.com/openshift/machine-config-operator/blob/release-4.18/pkg/daemon/constants/constants.go
 */
export async function isManagedByOpenShift(hostRoot: string, path: string): Promise<boolean> {
  if (path !== managedFile) return false;
  if (await exists(join(hostRoot, 'etc/machine-config-daemon'))) return true;
  const pods = join(hostRoot, dirname(managedFile), 'pods');
  const names = await readdir(pods).catch(() => []);
  const found = await Promise.all(
    names.map(name => exists(join(pods, name, 'containers/machine-config-daemon'))),
  );
  return found.includes(true);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
