import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ContainerdOptions, createContainerd } from '../test/sandbox/containerd.ts';
import { waitUntil } from '../test/sandbox/wait-until.ts';
import type { WarmRuntime } from './warm-runtime.ts';

/** containerd, with `ctr images pull` in the script. */
export function createWarmContainerd(options: ContainerdOptions): WarmRuntime {
  const containerd = createContainerd(options);
  const list = async (...command: string[]) =>
    (await containerd.ctr(...command)).split('\n').filter(line => line !== '');
  return {
    ...containerd,
    name: 'containerd',
    script: 'ctr',
    async pullCommand({ user, password }) {
      const flags = ['--plain-http', '--user', `${user}:${password}`];
      const snapshotter = ['--snapshotter', await snapshotterOf(options)];
      const pull = ['--namespace', 'k8s.io', 'images', 'pull', ...flags, ...snapshotter];
      return ['ctr', '--address', containerd.socket, ...pull];
    },
    async removeImages() {
      const names = await list('images', 'ls', '-q');
      if (names.length > 0) await containerd.ctr('images', 'rm', '--sync', ...names);
      await waitUntil(async () => (await list('content', 'ls', '-q')).length === 0, {
        what: 'containerd to have let go of the content of the images',
        timeoutMs: 30_000,
        intervalMs: 200,
      });
    },
  };
}

/** The one that containerd's CRI part unpacks to, so that both do the same work. */
async function snapshotterOf({ nodeRoot }: ContainerdOptions): Promise<string> {
  const config = await readFile(join(nodeRoot, 'etc/containerd/config.toml'), 'utf8');
  const [, name] = /snapshotter = "([a-z]+)"/.exec(config) ?? [];
  if (name === undefined) throw new Error(`the config of containerd names no snapshotter: ${config}`);
  return name;
}
