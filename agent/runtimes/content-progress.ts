import { type Client, createClient, type Transport } from '@connectrpc/connect';
import { Content, type Timestamp } from './gen/content_pb.ts';
import type { PullProgress, PullUnderWay } from './runtime.ts';

/** The namespace of containerd in which CRI, and with it Kubernetes, keeps its images. */
const headers = { 'containerd-namespace': 'k8s.io' };

/** Larger blobs are layers; manifests and indexes stay well below (registries allow 4 MiB). */
const maxManifestBytes = 4 * 2 ** 20;

type Blob = { readonly digest: string; readonly size: number };
type Stored = Blob & { readonly createdAt: number };
type Manifest = { readonly blobs: readonly Blob[]; readonly children: readonly string[] };

/**
 * The progress of pulls from containerd's content store. CRI tells nothing of it; in the store, a blob that is being
 * fetched is an ingest with an offset, and a finished one is content, labelled with the repository it came from.
 */
export class ContentProgress {
  readonly #content: Client<typeof Content>;
  /** What the blobs are that may be manifests, by digest; content never changes. undefined: it is none. */
  readonly #manifests = new Map<string, Manifest | undefined>();
  /** The manifest of each pull that is under way, by the image's name and the start of the attempt. */
  readonly #found = new Map<string, Manifest>();

  constructor(transport: Transport) {
    this.#content = createClient(Content, transport);
  }

  /** Measures all pulls that are under way. Throws what the connection throws. */
  async measure(pulls: readonly PullUnderWay[], signal: AbortSignal): Promise<PullProgress> {
    this.#forgetOthers(pulls);
    const ingests = await this.#ingests(signal);
    const progress = new Map<string, { bytesDone: number; bytesTotal: number }>();
    for (const pull of pulls) {
      const stored = await this.#storedBlobs(pull, signal);
      const manifest = this.#found.get(keyOf(pull)) ?? (await this.#findManifest(pull, stored, signal));
      if (manifest === undefined) continue;
      const done = new Set(stored.map(({ digest }) => digest));
      let bytesDone = 0;
      let bytesTotal = 0;
      for (const { digest, size } of manifest.blobs) {
        bytesTotal += size;
        bytesDone += done.has(digest) ? size : Math.min(size, ingests.get(digest) ?? 0);
      }
      progress.set(pull.name, { bytesDone, bytesTotal });
    }
    return progress;
  }

  /** Each call is bounded: whoever waits for the progress of a pull must not wait for a store that hangs. */
  #call(signal: AbortSignal) {
    return { headers, signal, timeoutMs: 5_000 };
  }

  #forgetOthers(pulls: readonly PullUnderWay[]): void {
    const current = new Set(pulls.map(keyOf));
    for (const key of this.#found.keys()) if (!current.has(key)) this.#found.delete(key);
    if (current.size === 0) this.#manifests.clear();
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
   * The manifest that a pull fetches: of the digest that it names; else of the repository's manifests that no other
   * pull has, the first that came after its start, or one that was there from an attempt before.
   */
  async #findManifest(
    pull: PullUnderWay,
    stored: readonly Stored[],
    signal: AbortSignal,
  ): Promise<Manifest | undefined> {
    for (const { digest, size } of stored)
      if (size <= maxManifestBytes) await this.#readManifest(digest, signal);
    const isManifest = ({ digest }: Stored) => (this.#manifests.get(digest)?.blobs.length ?? 0) > 0;
    const wanted = pull.digest === undefined ? undefined : this.#descendants(pull.digest);
    const taken = new Set(this.#found.values());
    const candidates = stored.filter(isManifest).filter(({ digest }) => {
      const manifest = this.#manifests.get(digest);
      return manifest !== undefined && !taken.has(manifest) && (wanted?.has(digest) ?? true);
    });
    const chosen =
      candidates.find(({ createdAt }) => createdAt >= pull.startedAt.getTime()) ?? candidates.at(-1);
    const manifest = chosen && this.#manifests.get(chosen.digest);
    if (manifest) this.#found.set(keyOf(pull), manifest);
    return manifest;
  }

  /** The digest itself and, if it is that of an index, those of the manifests that it lists. */
  #descendants(digest: string): ReadonlySet<string> {
    return new Set([digest, ...(this.#manifests.get(digest)?.children ?? [])]);
  }

  async #readManifest(digest: string, signal: AbortSignal): Promise<void> {
    if (this.#manifests.has(digest)) return;
    const chunks: Uint8Array[] = [];
    for await (const { data } of this.#content.read({ digest }, this.#call(signal))) {
      chunks.push(data);
      // A manifest is JSON. What begins otherwise is a small layer, and need not be read to its end.
      if (chunks[0]?.[0] !== 0x7b) break;
    }
    this.#manifests.set(digest, parseManifest(Buffer.concat(chunks).toString('utf8')));
  }
}

function keyOf({ name, startedAt }: PullUnderWay): string {
  return `${name} ${startedAt.getTime()}`;
}

function toMilliseconds(time: Timestamp | undefined): number {
  return time ? Number(time.seconds) * 1_000 + time.nanos / 1e6 : 0;
}

/** Reads a manifest or an index by the OCI image specification; undefined for everything else. */
function parseManifest(text: string): Manifest | undefined {
  try {
    const { config, layers, manifests } = JSON.parse(text) as Record<string, unknown>;
    const blobs = config && Array.isArray(layers) ? unique([config, ...layers].map(toBlob)) : [];
    const children = Array.isArray(manifests) ? manifests.map(child => toBlob(child).digest) : [];
    return blobs.length > 0 || children.length > 0 ? { blobs, children } : undefined;
  } catch {
    return undefined;
  }
}

function toBlob(descriptor: { digest?: unknown; size?: unknown }): Blob {
  return { digest: String(descriptor.digest), size: Number(descriptor.size) || 0 };
}

/** An image may have the same layer twice; it is fetched once. */
function unique(blobs: readonly Blob[]): readonly Blob[] {
  return [...new Map(blobs.map(blob => [blob.digest, blob])).values()];
}
