import { z } from 'zod';
import { parseImageReference } from '../../image-reference.ts';
import type { PresentImage, PresentImages, Runtime } from '../runtime.ts';
import { ifTold, listOf, readJson, UnreadableAnswer, understood } from './docker-answer.ts';
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

const names = listOf(z.string()).nullish();
const image = z.object({ Id: z.string().regex(/^[\w:.+-]{1,200}$/), RepoTags: names, RepoDigests: names });

/** How many images and names are kept, which takes much more memory than the list is long; a node has some hundred. */
const maxListed = 20_000;

/** By their full names, which docker shortens; what has no name (`<none>`) is left out. */
function listImages(client: DockerClient, signal: AbortSignal): Promise<PresentImages> {
  return client.ask('listing the images', signal, async signal => {
    const present = new Map<string, PresentImage>();
    let count = 0;
    for await (const listed of client.list({ path: '/images/json' }, signal)) {
      const { Id: id, RepoTags, RepoDigests } = understood(() => image.parse(listed));
      const names = [...(RepoTags ?? []), ...(RepoDigests ?? [])];
      count += 1 + names.length;
      if (count > maxListed) throw new UnreadableAnswer(`it lists more than ${maxListed} images and names`);
      for (const name of names) {
        const reference = parseImageReference(name);
        if (typeof reference !== 'string') present.set(reference.name, { id, isPinned: false });
      }
    }
    return present;
  });
}

/** Pulls can do without, and so does an engine, or a proxy before it, that does not tell. */
function imageDirectory(client: DockerClient, signal: AbortSignal): Promise<string | undefined> {
  return client.ask('asking for the image file system', signal, async signal => {
    const answer = await ifTold(client.readFacts('/info', signal).then(text => readJson(text, engineInfo)));
    return answer && imageDirectoryOf(answer);
  });
}

/** By the label that cri-dockerd gives the sandboxes of its pods; those of an engine that was given up do not run. */
function hasPods(client: DockerClient, signal: AbortSignal): Promise<boolean> {
  const filters = JSON.stringify({ label: ['io.kubernetes.docker.type=podsandbox'], status: ['running'] });
  const request = { path: '/containers/json', query: { filters, limit: '1' } };
  return client.ask('listing the pods', signal, async signal => {
    for await (const _pod of client.list(request, signal)) return true;
    return false;
  });
}
