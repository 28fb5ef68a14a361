import { basename, dirname } from 'node:path';
import type { DockerConfigForm } from '../docker-config/docker-config-text.ts';

/** Who a docker config on the node is for. */
export type Reader = 'kubelet' | 'docker';

/**
 * Who reads the file at this path of the node. Docker's own lies in the directory `.docker` of somebody's home. What
 * lies in that of `/` is read by a kubelet without HOME, and the old format by nobody else any more.
 */
export function readerOf(path: string): Reader {
  const isDockers = basename(dirname(path)) === '.docker' && path !== '/.docker/config.json';
  return isDockers && formOf(path) === 'dockerconfigjson' ? 'docker' : 'kubelet';
}

/** The form of the file at this path: the legacy one if `.dockercfg` is in its name. */
export function formOf(path: string): DockerConfigForm {
  return basename(path).includes('.dockercfg') ? 'dockercfg' : 'dockerconfigjson';
}
