import { z } from 'zod';
import { PullFailure } from '../pull-failure.ts';
import type { PullRequest, RegistryCredential } from '../runtime.ts';
import { DockerRefusal, readJson } from './docker-answer.ts';
import type { DockerClient } from './docker-client.ts';
import { dockerPullFailure } from './docker-failure.ts';
import type { LayerProgress } from './layer-progress.ts';
import { type PullStep, readPullStep } from './pull-step.ts';

/** Who pulls, and what is told how far that is. */
export type DockerPullOptions = { readonly client: DockerClient; readonly layers: LayerProgress };

/**
 * Pulls an image. Docker answers 200 before it knows how that ends, and says in the stream what fails; a stream that ends
 * without a word that it is done was cut off. Throws a PullFailure.
 */
export async function pullWithDocker(
  { client, layers }: DockerPullOptions,
  { name, credential }: PullRequest,
  signal: AbortSignal,
): Promise<void> {
  let last: PullStep = {};
  let isDone = false;
  try {
    const request = {
      method: 'POST',
      path: '/images/create',
      query: { fromImage: name },
      headers: credential ? { 'X-Registry-Auth': authOf(credential) } : {},
    } as const;
    for await (const object of client.objects(request, signal)) {
      last = readPullStep(object);
      if (last.error !== undefined) throw dockerPullFailure(last.error);
      if (last.status?.startsWith('Status: ')) isDone = true;
      layers.take(last);
    }
    if (!isDone) isDone = await isThere(client, name, last, signal);
  } catch (error) {
    throw dockerPullFailure(error);
  }
  if (!isDone)
    throw new PullFailure('runtime', 'the container runtime stopped telling in the middle of the pull');
}

const image = z.object({ Id: z.string() });

/**
 * Podman has no word for the end: the last thing that it says of an image is the id of the image, as if that were one more
 * layer. So it is looked up whether the image of that name is this one.
 */
async function isThere(
  client: DockerClient,
  name: string,
  { id }: PullStep,
  signal: AbortSignal,
): Promise<boolean> {
  if (!id) return false;
  try {
    const answer = await client.read({ path: `/images/${name}/json` }, signal);
    return readJson(answer, image)
      .Id.replace(/^sha256:/, '')
      .startsWith(id);
  } catch (error) {
    if (error instanceof DockerRefusal) return false;
    throw error;
  }
}

/** URL-safe base64 with its padding: without, podman refuses the call, and docker 20.10 takes it for an anonymous one. */
function authOf(credential: RegistryCredential): string {
  const auth =
    'identityToken' in credential
      ? { identitytoken: credential.identityToken.reveal() }
      : { username: credential.username, password: credential.password.reveal() };
  const text = Buffer.from(JSON.stringify(auth)).toString('base64');
  return text.replaceAll('+', '-').replaceAll('/', '_');
}
