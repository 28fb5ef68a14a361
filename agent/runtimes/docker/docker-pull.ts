import { z } from 'zod';
import { hideCredential } from '../hide-credential.ts';
import { PullFailure } from '../pull-failure.ts';
import type { PullRequest, RegistryCredential } from '../runtime.ts';
import { understood } from './docker-answer.ts';
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
  const auth = credential && authOf(credential, name);
  const hide = hideCredential(credential, ...(auth ? [auth] : []));
  let last: PullStep = {};
  let isDone = false;
  try {
    const request = {
      method: 'POST',
      path: '/images/create',
      query: { fromImage: name },
      headers: auth ? { 'X-Registry-Auth': auth } : {},
    } as const;
    for await (const object of client.objects(request, signal)) {
      last = readPullStep(object);
      if (last.error !== undefined) throw dockerPullFailure(last.error, hide);
      // With an id it is said of a layer.
      if (last.id === undefined && last.status?.startsWith('Status: ')) isDone = true;
      layers.take(last);
    }
    if (!isDone) isDone = await isThere(client, name, last, signal);
  } catch (error) {
    throw dockerPullFailure(error, hide);
  }
  if (!isDone)
    throw new PullFailure('runtime', 'the container runtime stopped telling in the middle of the pull');
}

const names = z.array(z.unknown()).nullish();
const listedImage = z.object({ Id: z.string(), RepoTags: names, RepoDigests: names });

/**
 * Podman has no word for the end: the last thing that it says of an image is the id of the image, as if that were one more
 * layer. So it is looked up whether the image of that name is this one; in the list, because podman cannot tell of an
 * image that has the first schema by itself.
 */
async function isThere(
  client: DockerClient,
  name: string,
  { id }: PullStep,
  signal: AbortSignal,
): Promise<boolean> {
  if (!id) return false;
  for await (const listed of client.list({ path: '/images/json' }, signal)) {
    const { Id, RepoTags, RepoDigests } = understood(() => listedImage.parse(listed));
    if (!Id.replace(/^sha256:/, '').startsWith(id)) continue;
    if (RepoTags?.includes(name) || RepoDigests?.includes(name)) return true;
  }
  return false;
}

/**
 * URL-safe base64 with its padding: without, podman refuses the call, and docker 20.10 takes it for an anonymous one. The
 * first versions of docker with containerd's store send a credential without its registry to Docker Hub alone.
 */
function authOf(credential: RegistryCredential, name: string): string {
  const [registry] = name.split('/');
  const serveraddress = registry === 'docker.io' ? 'https://index.docker.io/v1/' : registry;
  const auth =
    'identityToken' in credential
      ? { identitytoken: credential.identityToken.reveal(), serveraddress }
      : { username: credential.username, password: credential.password.reveal(), serveraddress };
  const text = Buffer.from(JSON.stringify(auth)).toString('base64');
  return text.replaceAll('+', '-').replaceAll('/', '_');
}
