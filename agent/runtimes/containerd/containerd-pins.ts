import { type Client, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { Failure } from '../../base/failure.ts';
import { Images } from '../gen/images_pb.ts';
import type { PinnedImages, Pins } from '../runtime.ts';
import { kubernetesNamespace as headers } from './containerd-namespace.ts';

/** By this label CRI knows a pinned image, and tells the kubelet of it (containerd, internal/cri/labels/labels.go). */
const pinLabel = 'io.cri-containerd.pinned';

/** By this label on the same image we know the pins that are ours. It goes with the image, so no record can be stale. */
const ownLabel = 'io.pullready.pinned';

const callTimeoutMilliseconds = 30_000;

/**
 * Pins through containerd's own API. The label is put on the image of the name `sha256:...`, which is that of its
 * content: of the three images that CRI keeps for one, this is the one that no later pull writes anew.
 */
export class ContainerdPins implements Pins {
  readonly #images: Client<typeof Images>;

  constructor(transport: Transport) {
    this.#images = createClient(Images, transport);
  }

  async list(signal: AbortSignal): Promise<PinnedImages> {
    const filters = [`labels."${pinLabel}"==pinned`, `labels."${ownLabel}"`];
    const options = { headers, signal, timeoutMs: callTimeoutMilliseconds };
    const { images } = await this.#images.list({ filters }, options).catch(error => {
      throw failure('listing the pinned images', error);
    });
    const named = (isOurs: boolean, isPinned: boolean) =>
      new Set(
        images
          .filter(
            ({ labels }) => ownLabel in labels === isOurs && (labels[pinLabel] === 'pinned') === isPinned,
          )
          .map(({ name }) => name),
      );
    return { ours: named(true, true), others: named(false, true), lost: named(true, false) };
  }

  async pin(id: string, signal: AbortSignal): Promise<void> {
    await this.#label(id, 'pinned', 'true', signal);
  }

  async unpin(id: string, signal: AbortSignal): Promise<void> {
    // An empty value takes a label away.
    await this.#label(id, '', '', signal);
  }

  async #label(name: string, pinned: string, own: string, signal: AbortSignal): Promise<void> {
    const labels = { [pinLabel]: pinned, [ownLabel]: own };
    const updateMask = { paths: Object.keys(labels).map(label => `labels.${label}`) };
    const options = { headers, signal, timeoutMs: callTimeoutMilliseconds };
    try {
      await this.#images.update({ image: { name, labels }, updateMask }, options);
    } catch (error) {
      // Deleted meanwhile, and its pin with it; the next look will tell.
      if (ConnectError.from(error).code !== Code.NotFound)
        throw failure(`${pinned ? 'pinning' : 'unpinning'} the image ${name}`, error);
    }
  }
}

function failure(tried: string, error: unknown): Failure {
  const problem = ConnectError.from(error).rawMessage;
  return new Failure({ tried, problem, advice: 'check the log of containerd', cause: error });
}
