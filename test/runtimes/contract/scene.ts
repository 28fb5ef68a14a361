import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { SecretText } from '../../../agent/base/secret-text.ts';
import { parseImageReference } from '../../../agent/image-reference.ts';
import type { PullUnderWay, RegistryCredential, Runtime } from '../../../agent/runtimes/runtime.ts';
import { cleanUp } from '../../sandbox/cleanup.ts';
import type { EngineOptions } from '../../sandbox/docker-engine.ts';
import { type ImageRecipe, type PublishedImage, publishImage } from '../../sandbox/images.ts';
import { type Registry, type RegistryOptions, startRegistry } from '../../sandbox/registry.ts';
import { temporaryDirectory } from '../../sandbox/temporary.ts';
import type { Daemon, TestedRuntime } from '../tested-runtimes.ts';

export const never = new AbortController().signal;

/** The user of the registries. */
export const user = { name: 'team-a', password: 'a-word', repositories: ['*'] };
export const credential: RegistryCredential = {
  username: user.name,
  password: new SecretText(user.password),
};

/** A daemon that runs during a test. */
export type RunningDaemon = {
  readonly nodeRoot: string;
  readonly daemon: Daemon;
  /** A new connection to it, which is closed after the test. */
  readonly connect: () => Promise<Runtime>;
};

/** Starts a daemon without images on `nodeRoot`; one of its own, if it is not given. */
export async function startDaemon(
  t: TestContext,
  tested: TestedRuntime,
  options: Partial<Pick<EngineOptions, 'nodeRoot' | 'names'>> = {},
): Promise<RunningDaemon> {
  const { nodeRoot = await temporaryDirectory(t), names } = options;
  const daemon = tested.create({ nodeRoot, logFile: join(nodeRoot, 'daemon.log'), names });
  cleanUp(t, () => daemon.stop());
  await daemon.start();
  const connect = async () => {
    const runtime = await tested.connect(daemon.socket, endpoint, never);
    cleanUp(t, () => runtime.close());
    return runtime;
  };
  return { nodeRoot, daemon, connect };
}

/** What the tests say where the daemon is. */
export const endpoint = 'unix:///run/of-the-test.sock';

/** Starts a registry during a test. */
export async function temporaryRegistry(
  t: TestContext,
  options: Partial<Pick<RegistryOptions, 'users' | 'authentication'>> = {},
): Promise<Registry> {
  const directory = await temporaryDirectory(t);
  const registry = await startRegistry({
    directory,
    logFile: join(directory, 'log'),
    users: [user],
    ...options,
  });
  cleanUp(t, () => registry.stop());
  return registry;
}

/** A daemon with a connection to it, and a registry to pull from. */
export type Scene = RunningDaemon & {
  readonly registry: Registry;
  readonly runtime: Runtime;
  readonly publish: (repository: string, layers: readonly number[], tag?: string) => Promise<PublishedImage>;
  /** Pulls an image of the registry as its user. */
  readonly pull: (image: string, signal?: AbortSignal) => Promise<void>;
};

/** Starts all of it for a test. */
export async function startScene(t: TestContext, tested: TestedRuntime): Promise<Scene> {
  const [node, registry] = await Promise.all([startDaemon(t, tested), temporaryRegistry(t)]);
  const runtime = await node.connect();
  return {
    ...node,
    registry,
    runtime,
    publish: (repository, layers, tag = 'v1') => {
      const recipe: ImageRecipe = { repository, tag, layers };
      return publishImage(registry, recipe);
    },
    pull: (name, signal = never) => runtime.pull({ name, credential }, signal),
  };
}

/** A pull of an image that begins now. Its age is that at which it is looked at. */
export function underWay(image: string): PullUnderWay {
  const reference = parseImageReference(image);
  assert.ok(typeof reference !== 'string', `${image}: ${reference}`);
  const startedAt = performance.now();
  return {
    ...reference,
    get age() {
      return performance.now() - startedAt;
    },
  };
}
