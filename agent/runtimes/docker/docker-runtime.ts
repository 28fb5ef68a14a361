import { z } from 'zod';
import { parseImageReference } from '../../image-reference.ts';
import type { PresentImage, PresentImages, Runtime } from '../runtime.ts';
import type { DockerClient } from './docker-client.ts';
import { DockerProgress } from './docker-progress.ts';
import { pullWithDocker } from './docker-pull.ts';
import { engineInfo, imageDirectoryOf } from './image-directory.ts';
import { openDocker } from './open-docker.ts';

/**
 * Connects to docker's own API, which podman has as well. Throws a Failure that says what is there instead. There are no
 * pins: docker tells nobody of any.
 */
export async function connectDocker(
  socketPath: string,
  endpoint: string,
  signal: AbortSignal,
): Promise<Runtime> {
  const { client, version: engine, watchDeletions } = await openDocker(socketPath, signal);
  const progress = new DockerProgress(engine.name === 'docker');
  return {
    name: engine.name,
    version: engine.version,
    endpoint,
    closed: client.closed,
    listImages: signal => listImages(client, signal),
    pull: (request, signal) =>
      progress.follow(request.name, layers => pullWithDocker({ client, layers }, request, signal)),
    progress: async pulls => progress.measure(pulls),
    pins: undefined,
    watchDeletions,
    imageDirectory: signal => imageDirectory(client, signal),
    hasPods: signal => hasPods(client, signal),
    close: () => client.close(),
  };
}

const names = z.array(z.string()).nullish();
const imageList = z.array(z.object({ Id: z.string(), RepoTags: names, RepoDigests: names }));

/** By their full names, which docker shortens; what has no name (`<none>`) is left out. */
async function listImages(client: DockerClient, signal: AbortSignal): Promise<PresentImages> {
  const images = await client.ask('listing the images', { path: '/images/json' }, imageList, signal);
  const present = new Map<string, PresentImage>();
  for (const { Id: id, RepoTags, RepoDigests } of images)
    for (const name of [...(RepoTags ?? []), ...(RepoDigests ?? [])]) {
      const reference = parseImageReference(name);
      if (typeof reference !== 'string') present.set(reference.name, { id, isPinned: false });
    }
  return present;
}

async function imageDirectory(client: DockerClient, signal: AbortSignal): Promise<string | undefined> {
  const tried = 'asking for the image file system';
  return imageDirectoryOf(await client.ask(tried, { path: '/info' }, engineInfo, signal));
}

/** By the label that cri-dockerd gives the sandboxes of its pods. */
async function hasPods(client: DockerClient, signal: AbortSignal): Promise<boolean> {
  const filters = JSON.stringify({ label: ['io.kubernetes.docker.type=podsandbox'] });
  const request = { path: '/containers/json', query: { filters, limit: '1' } };
  return (await client.ask('listing the pods', request, z.array(z.unknown()), signal)).length > 0;
}
