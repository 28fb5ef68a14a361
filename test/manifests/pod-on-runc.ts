import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Containerd } from '../sandbox/containerd.ts';
import { memoryLimit } from './pod-memory.ts';
import { type PodWithVolumes, podMounts } from './pod-volumes.ts';

/** A rendered pod, and what the cluster and the node would add to it. */
type PodOnRunc = PodWithVolumes & {
  /** What the image brings: the program with its first arguments, its directory, and the bundle on this machine. */
  readonly image: {
    readonly entrypoint: readonly string[];
    readonly directory: string;
    readonly bundle: string;
  };
  /** The runtime of the node, whose seccomp profile is the RuntimeDefault. */
  readonly containerd: Containerd;
};

/** A container that has been started. */
export type RunningContainer = {
  /** What it has printed so far. */
  readonly output: () => string;
  /** Runs a program in the container, as `kubectl exec` does. */
  readonly exec: (args: readonly string[]) => Promise<string>;
  /** Sends SIGTERM and waits; resolves to the exit status. */
  readonly stop: () => Promise<number | null>;
  /** Ends it whatever it does, and removes what runc keeps of it. */
  readonly remove: () => Promise<void>;
};

/**
 * Starts the container of a pod with runc, as the kubelet and containerd would on a node: volumes, user, capabilities,
 * the read-only root, the seccomp profile and the limit of memory are those of the pod.
 */
export async function startPod(options: PodOnRunc): Promise<RunningContainer> {
  const { directory } = options;
  await mkdir(join(directory, 'rootfs'));
  await writeFile(join(directory, 'config.json'), JSON.stringify(await runtimeSpec(options)));
  const runc = ['--root', join(directory, 'runc')];
  const id = `pullready-${randomUUID()}`;
  const child = spawn('runc', [...runc, 'run', '--bundle', directory, id]);
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', bytes => output.push(String(bytes)));
  const ended = once(child, 'close');
  const call = async (...args: readonly string[]): Promise<string> =>
    (await promisify(execFile)('runc', [...runc, ...args], { timeout: 20_000 })).stdout;
  return {
    output: () => output.join(''),
    exec: args => call('exec', id, ...args),
    stop: async () => {
      await call('kill', id, 'TERM');
      const [status] = await ended;
      return status;
    },
    remove: async () => {
      await call('delete', '--force', id);
      await ended;
    },
  };
}

/** What the manifest sets; of what the kubelet fills in there is the name of the node alone. */
function environmentOf({ env = [] }: PodOnRunc['container']): readonly string[] {
  return env.map(({ name, value = 'node-1' }) => `${name}=${value}`);
}

async function runtimeSpec(options: PodOnRunc): Promise<object> {
  const { pod, container, image } = options;
  const { capabilities, allowPrivilegeEscalation, readOnlyRootFilesystem } = container.securityContext ?? {};
  const { runAsUser = 0, runAsGroup = 0 } = pod.securityContext ?? {};
  const dropped = capabilities?.drop?.includes('ALL') ?? false;
  return {
    ociVersion: '1.0.2',
    process: {
      user: { uid: runAsUser, gid: runAsGroup },
      args: [...image.entrypoint, ...(container.args ?? [])],
      env: ['PATH=/nodejs/bin:/usr/bin', ...environmentOf(container)],
      cwd: image.directory,
      capabilities: dropped ? {} : undefined,
      noNewPrivileges: allowPrivilegeEscalation === false,
    },
    root: { path: 'rootfs', readonly: readOnlyRootFilesystem === true },
    mounts: [...baseMounts(image), ...(await volumeMounts(options))],
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map(type => ({ type })),
      rootfsPropagation: 'rslave',
      resources: { memory: { limit: memoryLimit(container) } },
      seccomp:
        pod.securityContext?.seccompProfile?.type === 'RuntimeDefault'
          ? await runtimeDefault(options.containerd)
          : undefined,
    },
  };
}

/** The seccomp profile that containerd gives to a container without one of its own. */
async function runtimeDefault(containerd: Containerd): Promise<object> {
  const id = `seccomp-${randomUUID()}`;
  await containerd.ctr('containers', 'create', '--seccomp', '--rootfs', '/nonexistent', id, 'true');
  const spec = JSON.parse(await containerd.ctr('containers', 'info', '--spec', id));
  await containerd.ctr('containers', 'delete', id);
  if (spec.linux?.seccomp?.defaultAction !== 'SCMP_ACT_ERRNO')
    throw new Error('containerd gave no seccomp profile');
  return spec.linux.seccomp;
}

/** What every runtime mounts, and the programs of this machine in place of those of the base image. */
function baseMounts({ bundle, directory }: PodOnRunc['image']): readonly object[] {
  const readOnly = (source: string, destination = source): object => ({
    ...{ source, destination, type: 'bind' },
    options: ['rbind', 'ro'],
  });
  return [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
    // By it Node.js knows the limit of memory.
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'nodev', 'ro'] },
    ...['/usr', '/lib', '/lib64'].map(path => readOnly(path)),
    readOnly(process.execPath, '/nodejs/bin/node'),
    readOnly(bundle, join(directory, 'pullready.mjs')),
  ];
}

async function volumeMounts(options: PodOnRunc): Promise<readonly object[]> {
  return (await podMounts(options)).map(({ source, destination, readOnly, propagation }) => ({
    ...{ source, destination, type: 'bind' },
    options: ['rbind', readOnly ? 'ro' : 'rw', propagation],
  }));
}
