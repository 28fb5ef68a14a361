import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Containerd, type ContainerdOptions, createContainerd } from './containerd.ts';
import { updateKubeletVolume, type VolumePayload } from './kubelet-volume.ts';
import type { NodeProgram } from './node-program.ts';
import { type Registry, type RegistryOptions, startRegistry } from './registry.ts';

/** Where the sandbox lives, and who and what is known in it. What is there from an earlier run is used again. */
export type SandboxNodeOptions = {
  readonly directory: string;
  readonly users: RegistryOptions['users'];
  readonly authentication?: RegistryOptions['authentication'];
  readonly names?: ContainerdOptions['names'];
};

/** A node's worth of real parts in one directory: a root with a runtime on it, Secret and config volumes, a registry. */
export type SandboxNode<Runtime extends NodeProgram = Containerd> = {
  readonly directory: string;
  /** What stands in for the node's `/`; short enough for the sockets below it. */
  readonly hostRoot: string;
  /** One mounted Secret per directory in it. */
  readonly secretsDir: string;
  /** `config.yaml` in the mounted config volume. */
  readonly configFile: string;
  readonly runtime: Runtime;
  readonly registry: Registry;
  /** Writes the volume of a Secret as the kubelet does; `{}` is an optional Secret that does not exist. */
  updateSecret(name: string, payload: VolumePayload): Promise<void>;
  /** Takes the volume of a Secret away, as a pod without it has none. */
  removeSecret(name: string): Promise<void>;
  /** Writes the config volume as the kubelet does: a value to be written as YAML, or the text itself. */
  updateConfig(config: object | string): Promise<void>;
  /** Stops everything; nothing is left running or mounted. The files stay. */
  stop(): Promise<void>;
};

/** Starts containerd and the registry; the volumes are empty. What was started is stopped again if something fails. */
export function startSandboxNode(options: SandboxNodeOptions): Promise<SandboxNode> {
  return startSandboxNodeWith(createContainerd, options);
}

/** The same with another runtime. */
export async function startSandboxNodeWith<Runtime extends NodeProgram>(
  create: (options: ContainerdOptions) => Runtime,
  options: SandboxNodeOptions,
): Promise<SandboxNode<Runtime>> {
  const { directory } = options;
  const hostRoot = join(directory, 'node');
  const secretsDir = join(directory, 'secrets');
  const configDir = join(directory, 'config');
  for (const path of [hostRoot, secretsDir, configDir]) await mkdir(path, { recursive: true });
  await rm(join(directory, 'log'), { recursive: true, force: true });
  const shortRoot = await shortWayTo(hostRoot);

  const runtime = create({
    nodeRoot: shortRoot,
    logFile: join(directory, 'log/runtime.log'),
    names: options.names,
  });
  const [node, registry] = await Promise.allSettled([runtime.start(), startRegistryOnItsPort(options)]);

  async function stop(): Promise<void> {
    await runtime.stop();
    if (registry.status === 'fulfilled') await registry.value.stop();
    if (shortRoot !== hostRoot) await rm(shortRoot, { force: true });
  }
  if (node.status === 'rejected' || registry.status === 'rejected') {
    await stop();
    throw node.status === 'rejected' ? node.reason : registry.status === 'rejected' && registry.reason;
  }
  return {
    directory,
    hostRoot: shortRoot,
    secretsDir,
    configFile: join(configDir, 'config.yaml'),
    runtime,
    registry: registry.value,
    updateSecret: async (name, payload) => void (await updateKubeletVolume(join(secretsDir, name), payload)),
    removeSecret: async name => await rm(join(secretsDir, name), { recursive: true, force: true }),
    async updateConfig(config) {
      const text = typeof config === 'string' ? config : stringify(config);
      await updateKubeletVolume(configDir, { 'config.yaml': text });
    },
    stop,
  };
}

/** The port of the last run, so that images keep their names; another one if somebody else has taken it. */
async function startRegistryOnItsPort(options: SandboxNodeOptions): Promise<Registry> {
  const directory = join(options.directory, 'registry');
  const portFile = join(directory, 'port');
  const lastPort = Number(await readFile(portFile, 'utf8').catch(() => '0'));
  const { users, authentication } = options;
  const logFile = join(options.directory, 'log/registry.log');
  const registryOptions: RegistryOptions = { directory, logFile, users, authentication, port: lastPort };
  const registry = await startRegistry(registryOptions).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    return startRegistry({ ...registryOptions, port: 0 });
  });
  await writeFile(portFile, registry.host.split(':').at(-1) ?? '');
  return registry;
}

/** The path itself, or a link to it in the temporary directory if sockets below it would have names that are too long. */
async function shortWayTo(hostRoot: string): Promise<string> {
  if (Buffer.byteLength(join(hostRoot, longestSocket)) <= 107) return hostRoot;
  const name = createHash('sha256').update(hostRoot).digest('hex').slice(0, 12);
  const link = join(tmpdir(), `pullready-sandbox-${name}`);
  await rm(link, { force: true }); // of a sandbox that was killed
  await symlink(hostRoot, link);
  return link;
}

const longestSocket = 'run/containerd/containerd.sock';
