import { randomBytes } from 'node:crypto';
import { dockerConfigJson } from './docker-config.ts';
import { type PublishedImage, publishImage } from './images.ts';
import { extraImage, type SandboxImage, sandboxImages } from './sandbox-images.ts';
import { type SandboxNode, startSandboxNodeWith } from './sandbox-node.ts';
import { type RuntimeName, runtimeChoices, type SandboxRuntime } from './sandbox-runtime.ts';

/** The two who may pull. team-b may pull everything, team-a not what is team-b's. */
export type Team = 'team-a' | 'team-b';

/** A sandbox node with everything on it that there is to see. */
export type Demonstration = {
  readonly node: SandboxNode<SandboxRuntime>;
  /** The repositories that the config lists; `writeConfig` makes a change of it true. */
  readonly listed: Set<string>;
  writeConfig(): Promise<void>;
  /** Writes the Secret of a team with the password that is in force. */
  writeSecret(team: Team): Promise<void>;
};

/** How often the agent looks at the node's images without a reason, so that one sees it bring back what was deleted. */
export const resyncSeconds = 10;

// Slow enough on any machine that one sees the images come.
const bytesPerSecond = 25 * 1024 * 1024;

/**
 * Starts a sandbox node with this runtime, publishes the sandbox's images, and writes two Secrets and a config.
 *
 * @param step is told what was done, after each step
 */
export async function startDemonstration(
  directory: string,
  runtime: RuntimeName,
  step: (done: string) => void,
  signal: AbortSignal,
): Promise<Demonstration> {
  const node = await startSandboxNodeWith(runtimeChoices[runtime].create, {
    directory,
    users: [
      { name: 'team-a', password: newPassword(), repositories: ['team-a/', 'tools/'] },
      { name: 'team-b', password: newPassword(), repositories: ['*'] },
    ],
  });
  try {
    step(`${runtime} started, and a registry on ${node.registry.host}`);
    const images = await publishImages(node, signal);
    const megabytes = Math.round(images.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6);
    const made = images.filter(({ isNew }) => isNew).length;
    step(`${images.length} images in the registry (${megabytes} MB; ${made} of them made now)`);

    const demonstration = demonstrationOf(node, images);
    await demonstration.writeSecret('team-a');
    await demonstration.writeSecret('team-b');
    await demonstration.writeConfig();
    step(`two Secrets and a config with ${demonstration.listed.size} images written`);
    node.registry.limit(bytesPerSecond);
    return demonstration;
  } catch (error) {
    await node.stop();
    throw error;
  }
}

/** A password that is found in no other text by chance. */
export function newPassword(): string {
  return randomBytes(15).toString('base64url');
}

async function publishImages(
  node: SandboxNode<SandboxRuntime>,
  signal: AbortSignal,
): Promise<PublishedImage[]> {
  const images: PublishedImage[] = [];
  for (const recipe of [...sandboxImages, extraImage]) {
    signal.throwIfAborted();
    images.push(await publishImage(node.registry, recipe));
  }
  return images;
}

function demonstrationOf(
  node: SandboxNode<SandboxRuntime>,
  images: readonly PublishedImage[],
): Demonstration {
  const { host } = node.registry;
  const listed = new Set(sandboxImages.map(({ repository }) => repository));
  const registryKeys = { 'team-a': host, 'team-b': `${host}/team-b` } as const;

  return {
    node,
    listed,
    async writeConfig() {
      const entries = [...sandboxImages, extraImage]
        .filter(({ repository }) => listed.has(repository))
        .map(image => configEntry(image, images));
      await node.updateConfig({
        images: entries,
        pulls: { concurrency: 2, resync: `${resyncSeconds}s` },
        // The sandbox's images are small, and a development machine's disk is often rather full.
        disk: { keepFree: '1Gi' },
      });
    },
    async writeSecret(team) {
      const login = { registry: registryKeys[team], user: team, password: node.registry.password(team) };
      await node.updateSecret(team, { '.dockerconfigjson': dockerConfigJson(login) });
    },
  };
}

function configEntry(recipe: SandboxImage, images: readonly PublishedImage[]): string | object {
  const image = images.find(({ repository }) => repository === recipe.repository);
  if (image === undefined) throw new Error(`${recipe.repository} was not published`);
  const name = recipe.nameInConfig?.(image) ?? image.reference;
  return recipe.options === undefined ? name : { image: name, ...recipe.options };
}
