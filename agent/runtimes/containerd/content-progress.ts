import type { Transport } from '@connectrpc/connect';
import type { PresentImages, PullProgress, PullUnderWay } from '../runtime.ts';
import { ContentStore, type StoredManifest } from './content-store.ts';
import { ManifestClaims, type PullAttempt, type RepositoryPull } from './manifest-claims.ts';
import { type FoundPull, PullBytes } from './pull-bytes.ts';

/** Of the manifests of a repository, it is asked for the newest ones alone whether a pull has come to them. */
const maxTouched = 20;

type AskedPull = RepositoryPull & { readonly name: string; readonly repository: string };

/**
 * The progress of pulls from containerd's content store. CRI tells nothing of it; in the store, a blob that is being
 * fetched is an ingest with an offset, and a finished one is content, labelled with the repository it came from.
 */
export class ContentProgress {
  readonly #store: ContentStore;
  readonly #claims = new ManifestClaims();
  /** The last attempt, by the name of the image. */
  readonly #attempts = new Map<string, PullAttempt>();
  readonly #bytes = new PullBytes();
  #lastMeasure: Promise<unknown> = Promise.resolve();

  constructor(transport: Transport) {
    this.#store = new ContentStore(transport);
  }

  /** Runs a pull, which in the end says what the image is: the digest of its config. */
  async follow(name: string, pull: () => Promise<string>): Promise<void> {
    const attempt: PullAttempt = { isOver: false, config: undefined, manifest: undefined, isCertain: false };
    this.#attempts.set(name, attempt);
    try {
      attempt.config = await pull();
    } finally {
      attempt.isOver = true;
    }
  }

  /**
   * Measures all pulls that are under way; one that is over is known until it is not asked for any more. `present` has
   * the names of the images that are there already. Throws what the connection throws.
   */
  measure(
    pulls: readonly PullUnderWay[],
    present: PresentImages,
    signal: AbortSignal,
  ): Promise<PullProgress> {
    const names = new Set(pulls.map(({ name }) => name));
    for (const [name, { isOver }] of this.#attempts)
      if (isOver && !names.has(name)) this.#attempts.delete(name);
    const now = Date.now();
    const asked = pulls.flatMap(({ name, repository, digest, age }) => {
      const attempt = this.#attempts.get(name);
      return attempt ? [{ name, repository, digest, attempt, startedAt: now - age }] : [];
    });
    // One after the other, so that what is older never overwrites or forgets what is newer.
    const measured = this.#lastMeasure.then(() => this.#measure(asked, present, signal));
    this.#lastMeasure = measured.catch(() => {});
    return measured;
  }

  async #measure(
    asked: readonly AskedPull[],
    present: PresentImages,
    signal: AbortSignal,
  ): Promise<PullProgress> {
    // 1. The ingests before the content: what is done between the two must not be missing from both.
    const ingests = await this.#store.ingests(signal);
    // 2. What there is of the repositories, and whose manifests these are. What nobody asks for any more is forgotten.
    const done = new Set<string>();
    const found: FoundPull[] = [];
    for (const [repository, pulls] of Map.groupBy(asked, ({ repository }) => repository)) {
      const blobs = await this.#store.blobsOf(repository, signal);
      for (const { digest } of blobs) done.add(digest);
      const manifests = await this.#store.manifestsAmong(blobs, signal);
      const touched = await this.#touched(pulls, manifests, present, signal);
      this.#claims.settle({ pulls, manifests, touched });
      for (const { name, attempt } of pulls)
        found.push({ name, repository, ...this.#claims.manifestsOf(attempt, manifests) });
    }
    this.#store.keepOnly(done);
    this.#claims.keepOnly(done);
    // 3. Of a layer that is unpacked already containerd does not come to the blob, so that it keeps the labels it has.
    const manifests = found.flatMap(pull => pull.manifests);
    const ours = new Set(manifests.flatMap(({ blobs }) => blobs.map(({ digest }) => digest)));
    const missing = new Set(ours);
    for (const digest of [...done, ...ingests.keys()]) missing.delete(digest);
    for (const digest of await this.#store.present(missing, signal)) done.add(digest);
    // 4. How many bytes that is.
    const others = [...ingests].filter(([digest]) => !ours.has(digest));
    return {
      images: this.#bytes.measure(found, { done, ingests }),
      otherBytes: others.reduce((sum, [, bytes]) => sum + bytes, 0),
    };
  }

  /** When a pull last came to those manifests that are of no image that is there, and of no pull that is known. */
  async #touched(
    pulls: readonly AskedPull[],
    manifests: readonly StoredManifest[],
    present: PresentImages,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, number>> {
    const known = new Set(pulls.map(({ attempt }) => (attempt.isOver ? undefined : attempt.manifest)));
    const repository = pulls[0]?.repository;
    for (const { digest, children } of manifests)
      if (present.has(`${repository}@${digest}`)) for (const one of [digest, ...children]) known.add(one);
    const unknown = manifests.filter(({ digest, blobs }) => blobs.length > 0 && !known.has(digest));
    const touched = new Map<string, number>();
    for (const { digest } of unknown.slice(-maxTouched)) {
      const touchedAt = await this.#store.touchedAt(digest, signal);
      if (touchedAt !== undefined) touched.set(digest, touchedAt);
    }
    return touched;
  }
}
