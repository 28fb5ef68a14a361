import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { dockerConfigJson, type RegistryLogin } from '../test/sandbox/docker-config.ts';
import { type ImageRecipe, publishImage } from '../test/sandbox/images.ts';
import { type SandboxNode, startSandboxNodeWith } from '../test/sandbox/sandbox-node.ts';
import type { CreateWarmRuntime, WarmRuntime } from './warm-runtime.ts';

/** A node with a runtime to warm. */
export type WarmNode = SandboxNode<WarmRuntime>;

const user = { name: 'team-a', password: 'a-word' } as const;

/** Starts a runtime and a registry that asks every request for a password; the agent finds it in a Secret. */
export async function startWarmNode(directory: string, create: CreateWarmRuntime): Promise<WarmNode> {
  const node = await startSandboxNodeWith(create, {
    directory,
    users: [{ ...user, repositories: ['*'] }],
    authentication: 'htpasswd',
  });
  await node.updateSecret('team-a', { '.dockerconfigjson': dockerConfigJson(loginOf(node)) });
  return node;
}

/** The login of the node's registry, for a script. */
export function loginOf({ registry }: WarmNode): RegistryLogin {
  return { registry: registry.host, user: user.name, password: user.password };
}

/** Puts images into the registry, and returns their references. */
export async function publishAll(
  { registry }: WarmNode,
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
export async function removeImages({ runtime, hostRoot }: WarmNode): Promise<void> {
  await runtime.removeImages();
  await promisify(execFile)('sync', ['-f', hostRoot]);
}
