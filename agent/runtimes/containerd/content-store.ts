import { type Client, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { Content, type Timestamp } from '../gen/content_pb.ts';
import { kubernetesNamespace as headers } from './containerd-namespace.ts';
import { type ImageManifest, type ManifestBlob, parseImageManifest } from './image-manifest.ts';

/** A manifest or an index of containerd's content store. */
export type StoredManifest = ImageManifest & { readonly digest: string };

/** Larger blobs are layers; manifests and indexes stay well below (registries allow 4 MiB). */
const maxManifestBytes = 4 * 2 ** 20;

/** containerd holds every blob that it has against every filter; an image has hardly ever more than 127 layers. */
const maxFilters = 256;

/** Reads containerd's content store. Every method throws what the connection throws. */
export class ContentStore {
  readonly #client: Client<typeof Content>;
  /** What the blobs are that may be manifests, by digest; content never changes. undefined: it is none. */
  readonly #manifests = new Map<string, StoredManifest | undefined>();

  constructor(transport: Transport) {
    this.#client = createClient(Content, transport);
  }

  /** Bytes written so far of every blob that is being fetched, by digest; 0 while the registry has sent nothing. */
  async ingests(signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    const { statuses } = await this.#client.listStatuses({}, options(signal));
    return new Map(
      statuses.map(({ ref, offset }) => [/[a-z0-9]+:[0-9a-f]+$/.exec(ref)?.[0] ?? ref, Number(offset)]),
    );
  }

  /** The finished blobs that were fetched from a repository, the oldest first. */
  async blobsOf(repository: string, signal: AbortSignal): Promise<readonly ManifestBlob[]> {
    const [registry = ''] = repository.split('/', 1);
    // The value lists all repositories that a blob came from, separated by commas.
    const path = repository.slice(registry.length + 1).replaceAll('.', '\\\\.');
    // The label is named by the host alone, without the port.
    const host = registry.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
    return this.#list([`labels."containerd.io/distribution.source.${host}"~="(^|,)${path}(,|$)"`], signal);
  }

  /** Those of the blobs that are there, wherever they came from; of very many only the first are looked for. */
  async present(digests: Iterable<string>, signal: AbortSignal): Promise<readonly string[]> {
    const filters = [...digests].slice(0, maxFilters).map(digest => `digest=="${digest}"`);
    // Without a filter it would be all there is.
    if (filters.length === 0) return [];
    return (await this.#list(filters, signal)).map(({ digest }) => digest);
  }

  /** Those of the blobs that are manifests and indexes. */
  async manifestsAmong(
    blobs: readonly ManifestBlob[],
    signal: AbortSignal,
  ): Promise<readonly StoredManifest[]> {
    const manifests: StoredManifest[] = [];
    for (const { digest, size } of blobs) {
      if (size > maxManifestBytes) continue;
      if (!this.#manifests.has(digest)) this.#manifests.set(digest, await this.#readManifest(digest, signal));
      const manifest = this.#manifests.get(digest);
      if (manifest) manifests.push(manifest);
    }
    return manifests;
  }

  /**
   * When a pull last came to this blob, in milliseconds by the clock of the node: it labels what it comes to, also what is
   * there already. containerd tells that of one blob alone, not in a list. undefined if it is gone.
   */
  async touchedAt(digest: string, signal: AbortSignal): Promise<number | undefined> {
    const { info } = await this.#client.info({ digest }, options(signal)).catch(error => {
      if (ConnectError.from(error).code === Code.NotFound) return { info: undefined };
      throw error;
    });
    return info && Math.max(toMilliseconds(info.createdAt), toMilliseconds(info.updatedAt));
  }

  /** Forgets what was read of all blobs but these. */
  keepOnly(digests: ReadonlySet<string>): void {
    for (const digest of this.#manifests.keys()) if (!digests.has(digest)) this.#manifests.delete(digest);
  }

  async #list(filters: string[], signal: AbortSignal): Promise<readonly ManifestBlob[]> {
    const blobs: (ManifestBlob & { readonly createdAt: number })[] = [];
    for await (const { info } of this.#client.list({ filters }, options(signal)))
      for (const { digest, size, createdAt } of info)
        blobs.push({ digest, size: Number(size), createdAt: toMilliseconds(createdAt) });
    return blobs.toSorted((a, b) => a.createdAt - b.createdAt);
  }

  async #readManifest(digest: string, signal: AbortSignal): Promise<StoredManifest | undefined> {
    // A manifest is JSON. What begins otherwise is a small layer, of which containerd would send a megabyte at once.
    const [first] = await this.#read({ digest, size: 1n }, signal);
    if (first !== 0x7b) return undefined;
    const manifest = parseImageManifest((await this.#read({ digest }, signal)).toString('utf8'));
    return manifest && { ...manifest, digest };
  }

  /** Reads to the end: a stream that is left in the middle is not cancelled. */
  async #read(
    what: { readonly digest: string; readonly size?: bigint },
    signal: AbortSignal,
  ): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const { data } of this.#client.read(what, options(signal))) chunks.push(data);
    return Buffer.concat(chunks);
  }
}

/** Each call is bounded: whoever waits for the progress of a pull must not wait for a store that hangs. */
function options(signal: AbortSignal) {
  return { headers, signal, timeoutMs: 5_000 };
}

function toMilliseconds(time: Timestamp | undefined): number {
  return time ? Number(time.seconds) * 1_000 + time.nanos / 1e6 : 0;
}
