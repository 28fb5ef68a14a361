import { type Client, createClient, type Transport } from '@connectrpc/connect';
import { Content, type Timestamp } from '../gen/content_pb.ts';
import type { PresentImages, PullProgress, PullUnderWay } from '../runtime.ts';
import { kubernetesNamespace as headers } from './containerd-namespace.ts';
import { type ImageManifest, type ManifestBlob, parseImageManifest } from './image-manifest.ts';

/** Larger blobs are layers; manifests and indexes stay well below (registries allow 4 MiB). */
const maxManifestBytes = 4 * 2 ** 20;

/** The manifest comes first of all; a pull that has none of its own after so many milliseconds had it before. */
const manifestMilliseconds = 3_000;

type Stored = ManifestBlob & { readonly createdAt: number };
type StoredManifest = {
  readonly digest: string;
  readonly createdAt: number;
  readonly manifest: ImageManifest;
};

/**
 * The progress of pulls from containerd's content store. CRI tells nothing of it; in the store, a blob that is being
 * fetched is an ingest with an offset, and a finished one is content, labelled with the repository it came from.
 */
export class ContentProgress {
  readonly #content: Client<typeof Content>;
  /** What the blobs are that may be manifests, by digest; content never changes. undefined: it is none. */
  readonly #manifests = new Map<string, ImageManifest | undefined>();
  /** By the digest of a manifest, the name of the image for whose pull it was fetched. */
  readonly #owners = new Map<string, string>();
  /** By the name of an image whose pull has just ended, the digest of its config. */
  readonly #pulled = new Map<string, string>();

  constructor(transport: Transport) {
    this.#content = createClient(Content, transport);
  }

  /**
   * Measures all pulls that are under way. `present` has the names of the images that are there already. Throws what the
   * connection throws.
   */
  async measure(
    pulls: readonly PullUnderWay[],
    present: PresentImages,
    signal: AbortSignal,
  ): Promise<PullProgress> {
    const ingests = await this.#ingests(signal);
    const images = new Map<string, { bytesDone: number; bytesTotal: number }>();
    const others = new Map(ingests);
    // What no pull asks for any more is forgotten in the end.
    const seen = new Set<string>();
    for (const pull of pulls) {
      const stored = await this.#storedBlobs(pull, signal);
      for (const { digest } of stored) seen.add(digest);
      const manifest = this.#findManifest(pull, await this.#readManifests(stored, signal), present);
      if (!manifest) continue;
      images.set(pull.name, measureBlobs(manifest.blobs, stored, ingests));
      for (const { digest } of manifest.blobs) others.delete(digest);
    }
    for (const { name } of pulls) seen.add(name);
    for (const known of [this.#manifests, this.#owners, this.#pulled])
      for (const key of known.keys()) if (!seen.has(key)) known.delete(key);
    return { images, otherBytes: [...others.values()].reduce((sum, bytes) => sum + bytes, 0) };
  }

  /** A pull begins: what the image was before says nothing of it. */
  pullBegins(name: string): void {
    this.#pulled.delete(name);
  }

  /** A pull has ended well, and the runtime has said what the image is: the digest of its config. */
  pullEnded(name: string, config: string): void {
    this.#pulled.set(name, config);
  }

  /** Each call is bounded: whoever waits for the progress of a pull must not wait for a store that hangs. */
  #call(signal: AbortSignal) {
    return { headers, signal, timeoutMs: 5_000 };
  }

  /** Bytes written so far of every blob that is being fetched, by digest. */
  async #ingests(signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    const { statuses } = await this.#content.listStatuses({}, this.#call(signal));
    return new Map(
      statuses.map(({ ref, offset }) => [/[a-z0-9]+:[0-9a-f]+$/.exec(ref)?.[0] ?? ref, Number(offset)]),
    );
  }

  /** The finished blobs of the repository that is pulled from. */
  async #storedBlobs(
    { registry, repository }: PullUnderWay,
    signal: AbortSignal,
  ): Promise<readonly Stored[]> {
    // The value lists all repositories that a blob came from, separated by commas.
    const path = repository.slice(registry.length + 1).replaceAll('.', '\\\\.');
    // The label is named by the host alone, without the port.
    const host = registry.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
    const filter = `labels."containerd.io/distribution.source.${host}"~="(^|,)${path}(,|$)"`;
    const stored: Stored[] = [];
    for await (const { info } of this.#content.list({ filters: [filter] }, this.#call(signal))) {
      stored.push(
        ...info.map(({ digest, size, createdAt }) => ({
          digest,
          size: Number(size),
          createdAt: toMilliseconds(createdAt),
        })),
      );
    }
    return stored.toSorted((a, b) => a.createdAt - b.createdAt);
  }

  /**
   * The manifest that a pull fetches. One that names a digest fetches that, and of one that has ended the runtime has
   * said what it was. Of the others it is told by when the manifest came, because the store does not know tags.
   */
  #findManifest(
    { name, repository, digest, startedAt }: PullUnderWay,
    manifests: readonly StoredManifest[],
    present: PresentImages,
  ): ImageManifest | undefined {
    if (digest !== undefined) {
      const wanted = new Set([digest, ...(this.#manifests.get(digest)?.children ?? [])]);
      return manifests.find(candidate => wanted.has(candidate.digest))?.manifest;
    }
    const config = this.#pulled.get(name);
    const ended = manifests.find(({ manifest }) => manifest.blobs.some(blob => blob.digest === config));
    if (ended) return ended.manifest;
    const owner = (candidate: StoredManifest) => this.#owners.get(candidate.digest);
    const absent = manifests.filter(one => !this.#isPresent(repository, one.digest, present));
    const fresh = absent.filter(({ createdAt }) => createdAt >= startedAt.getTime());
    const own = fresh.find(one => owner(one) === name) ?? fresh.find(one => owner(one) === undefined);
    if (own) {
      this.#owners.set(own.digest, name);
      return own.manifest;
    }
    // There from an attempt before, or fetched just now for another tag of the same image. Neither is certain, so it is
    // good only until one comes that is its own.
    if (Date.now() - startedAt.getTime() < manifestMilliseconds) return undefined;
    const likely = absent.findLast(one => owner(one) === name) ?? absent.findLast(one => !owner(one));
    return (likely ?? absent.at(-1))?.manifest;
  }

  /** Whether the manifest is that of an image which is there, by itself or through its index. */
  #isPresent(repository: string, digest: string, present: PresentImages): boolean {
    const indexes = [...this.#manifests].filter(([, manifest]) => manifest?.children.includes(digest));
    return [digest, ...indexes.map(([index]) => index)].some(one => present.has(`${repository}@${one}`));
  }

  /** Those of the blobs that are the manifest of one image; indexes are remembered, too. */
  async #readManifests(stored: readonly Stored[], signal: AbortSignal): Promise<readonly StoredManifest[]> {
    const manifests: StoredManifest[] = [];
    for (const { digest, size, createdAt } of stored) {
      if (size > maxManifestBytes) continue;
      if (!this.#manifests.has(digest)) this.#manifests.set(digest, await this.#readManifest(digest, signal));
      const manifest = this.#manifests.get(digest);
      if (manifest && manifest.blobs.length > 0) manifests.push({ digest, createdAt, manifest });
    }
    return manifests;
  }

  async #readManifest(digest: string, signal: AbortSignal): Promise<ImageManifest | undefined> {
    // A manifest is JSON. What begins otherwise is a small layer, of which containerd would send a megabyte at once.
    const [first] = await this.#read({ digest, size: 1n }, signal);
    if (first !== 0x7b) return undefined;
    return parseImageManifest((await this.#read({ digest }, signal)).toString('utf8'));
  }

  /** Reads to the end: a stream that is left in the middle is not cancelled. */
  async #read(
    what: { readonly digest: string; readonly size?: bigint },
    signal: AbortSignal,
  ): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const { data } of this.#content.read(what, this.#call(signal))) chunks.push(data);
    return Buffer.concat(chunks);
  }
}

function measureBlobs(
  blobs: readonly ManifestBlob[],
  stored: readonly Stored[],
  ingests: ReadonlyMap<string, number>,
): { bytesDone: number; bytesTotal: number } {
  const done = new Set(stored.map(({ digest }) => digest));
  let bytesDone = 0;
  let bytesTotal = 0;
  for (const { digest, size } of blobs) {
    bytesTotal += size;
    bytesDone += done.has(digest) ? size : Math.min(size, ingests.get(digest) ?? 0);
  }
  return { bytesDone, bytesTotal };
}

function toMilliseconds(time: Timestamp | undefined): number {
  return time ? Number(time.seconds) * 1_000 + time.nanos / 1e6 : 0;
}
