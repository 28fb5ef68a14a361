import { type Client, Code, ConnectError, createClient } from '@connectrpc/connect';
import { Failure, messageOf } from '../../base/failure.ts';
import { openContainerd } from '../containerd/containerd-api.ts';
import { ImageService, RuntimeService } from '../gen/cri_pb.ts';
import { hideCredential } from '../hide-credential.ts';
import { Liveness } from '../liveness.ts';
import type { PresentImages, PullRequest, RegistryCredential, Runtime } from '../runtime.ts';
import { criPullFailure } from './cri-failure.ts';
import { openGrpcConnection } from './grpc-connection.ts';
import { livenessInterceptor } from './liveness-interceptor.ts';

/** How long a call other than a pull may take on a busy node; the kubelet gives its runtime as much. */
const callTimeoutMilliseconds = 120_000;

/**
 * Connects to a runtime that speaks CRI v1. What CRI does not tell (the progress of a pull, pins, deletions) is asked of
 * containerd's own API, if the runtime is containerd and has that on the same socket.
 */
export async function connectCri(
  socketPath: string,
  endpoint: string,
  signal: AbortSignal,
): Promise<Runtime> {
  const liveness = new Liveness({
    ask: () => service.version({}),
    onSilence: () => connection.close('the runtime does not answer any more; look whether it hangs'),
  });
  const connection = await openGrpcConnection(socketPath, signal, [livenessInterceptor(liveness)]);
  const service = createClient(RuntimeService, connection.transport);
  try {
    const { runtimeName, runtimeVersion } = await askVersion(service, socketPath, signal);
    const images = createClient(ImageService, connection.transport);
    const containerd =
      runtimeName === 'containerd' ? await openContainerd(connection.transport, signal) : undefined;
    let present: PresentImages = new Map();
    return {
      name: runtimeName,
      version: runtimeVersion,
      endpoint,
      closed: connection.closed,
      listImages: async signal => {
        present = await listImages(images, signal);
        return present;
      },
      pull: async (request, signal) => {
        const pull = () => pullImage(images, request, signal);
        await (containerd ? containerd.content.follow(request.name, pull) : pull());
      },
      progress: containerd && ((pulls, signal) => containerd.content.measure(pulls, present, signal)),
      pins: containerd?.pins,
      watchDeletions: containerd?.watchDeletions,
      imageDirectory: signal => imageDirectory(images, signal),
      hasPods: signal => hasPods(service, signal),
      close: () => connection.close(),
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}

async function askVersion(service: Client<typeof RuntimeService>, socketPath: string, signal: AbortSignal) {
  try {
    return await service.version({ version: 'v1' }, { signal, timeoutMs: callTimeoutMilliseconds });
  } catch (error) {
    const tried = `asking the runtime at ${socketPath} for its version`;
    if (ConnectError.from(error).code === Code.Unimplemented) {
      const advice = 'upgrade the runtime, or use the socket of one that speaks CRI v1';
      throw new Failure({ tried, problem: 'it does not speak CRI v1', advice, cause: error });
    }
    const problem = ConnectError.from(error).rawMessage;
    throw new Failure({ tried, problem, advice: 'check the log of the runtime', cause: error });
  }
}

async function listImages(images: Client<typeof ImageService>, signal: AbortSignal): Promise<PresentImages> {
  const answer = await call('listing the images', () =>
    images.listImages({}, { signal, timeoutMs: callTimeoutMilliseconds }),
  );
  return new Map(
    answer.images.flatMap(({ id, pinned: isPinned, repoTags, repoDigests }) =>
      [...repoTags, ...repoDigests].map(name => [name, { id, isPinned }] as const),
    ),
  );
}

/** Returns what the runtime calls the image; containerd takes the digest of its config. */
async function pullImage(
  images: Client<typeof ImageService>,
  request: PullRequest,
  signal: AbortSignal,
): Promise<string> {
  const { name, credential } = request;
  const auth = credential && authOf(credential);
  try {
    const pull = { image: { image: name }, ...(auth && { auth }) };
    return (await images.pullImage(pull, { signal })).imageRef;
  } catch (error) {
    throw criPullFailure(error, hideCredential(credential));
  }
}

function authOf(credential: RegistryCredential) {
  if ('identityToken' in credential) return { identityToken: credential.identityToken.reveal() };
  return { username: credential.username, password: credential.password.reveal() };
}

async function imageDirectory(
  images: Client<typeof ImageService>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const answer = await call('asking for the image file system', () =>
    images.imageFsInfo({}, { signal, timeoutMs: callTimeoutMilliseconds }).catch(error => {
      // Only the disk guard asks for it; a runtime that does not have the call pulls images all the same.
      if (ConnectError.from(error).code === Code.Unimplemented) return undefined;
      throw error;
    }),
  );
  return answer?.imageFilesystems[0]?.fsId?.mountpoint;
}

/** The state SANDBOX_READY: a runtime that was given up may still have pods that once ran. */
const running = { filter: { state: { state: 0 } } };

async function hasPods(service: Client<typeof RuntimeService>, signal: AbortSignal): Promise<boolean> {
  const { items } = await call('listing the pods', () =>
    service.listPodSandbox(running, { signal, timeoutMs: callTimeoutMilliseconds }),
  );
  return items.length > 0;
}

async function call<Answer>(tried: string, ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    const problem = error instanceof ConnectError ? error.rawMessage : messageOf(error);
    throw new Failure({ tried: `${tried} of the container runtime`, problem, cause: error });
  }
}
