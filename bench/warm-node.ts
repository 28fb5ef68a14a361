import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { dockerConfigJson } from '../test/sandbox/docker-config.ts';
import { type ImageRecipe, publishImage } from '../test/sandbox/images.ts';
import { type SandboxNode, startSandboxNode } from '../test/sandbox/sandbox-node.ts';
import { waitUntil } from '../test/sandbox/wait-until.ts';

const user = { name: 'team-a', password: 'a-word' } as const;

/** The login of the registry, as `ctr` wants it. */
export const login = `${user.name}:${user.password}`;

/** Starts containerd and a registry that asks every request for a password; the agent finds it in a Secret. */
export async function startWarmNode(directory: string): Promise<SandboxNode> {
  const node = await startSandboxNode({
    directory,
    users: [{ ...user, repositories: ['*'] }],
    authentication: 'htpasswd',
  });
  const { name, password } = user;
  const document = dockerConfigJson({ registry: node.registry.host, user: name, password });
  await node.updateSecret('team-a', { '.dockerconfigjson': document });
  return node;
}

/** Puts images into the registry, and returns their references. */
export async function publishAll(
  { registry }: SandboxNode,
  recipes: readonly ImageRecipe[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const references: string[] = [];
  for (const recipe of recipes) {
    signal.throwIfAborted();
    references.push((await publishImage(registry, recipe)).reference);
  }
  return references;
}

/** Takes every image off the node, with all it had on the disk, and has the disk come to rest. */
export async function removeImages({ runtime: containerd }: SandboxNode): Promise<void> {
  const list = async (...command: string[]) =>
    (await containerd.ctr(...command)).split('\n').filter(line => line !== '');
  const names = await list('images', 'ls', '-q');
  if (names.length > 0) await containerd.ctr('images', 'rm', '--sync', ...names);
  await waitUntil(async () => (await list('content', 'ls', '-q')).length === 0, {
    what: 'containerd to have let go of the content of the images',
    timeoutMs: 30_000,
    intervalMs: 200,
  });
  await promisify(execFile)('sync', ['-f', join(containerd.socket, '../../..')]);
}
