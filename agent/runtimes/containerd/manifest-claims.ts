import type { StoredManifest } from './content-store.ts';

/** One attempt to pull an image. */
export type PullAttempt = {
  isOver: boolean;
  /** The digest of the image's config, which the runtime tells in the end of an attempt that succeeds. */
  config: string | undefined;
  /** The digest of the manifest that it fetches, once that is known. */
  manifest: string | undefined;
  /** Nothing can show any more that it is another manifest. */
  isCertain: boolean;
};

/** An attempt with what it was asked for. */
export type RepositoryPull = {
  readonly attempt: PullAttempt;
  /** The digest that it names; undefined: it names a tag. */
  readonly digest: string | undefined;
  /** In milliseconds by the clock of the node, as it is set now. */
  readonly startedAt: number;
};

/** What the pulls of one repository may have fetched. */
export type Repository = {
  readonly pulls: readonly RepositoryPull[];
  readonly manifests: readonly StoredManifest[];
  /** When a pull last came to the manifests that any of the pulls may have fetched, by their digests. */
  readonly touched: ReadonlyMap<string, number>;
};

/** The attempts that may have come to a manifest at a time; one of them did. */
type Claim = { readonly touchedAt: number | undefined; readonly attempts: Set<PullAttempt> };

/**
 * Whose manifest it is. containerd knows of no tag while an image is pulled, so a manifest is known to be of a pull only
 * if no other can have fetched it: the one pull of its repository that has none yet, or the one that is left when the
 * others have turned out to have fetched another.
 */
export class ManifestClaims {
  /** By the digest of the manifest. Also attempts that failed stay in them: a manifest may well be theirs. */
  readonly #claims = new Map<string, Claim>();

  /** Finds out what can be known of the manifests of the pulls, and notes it with their attempts. */
  settle(repository: Repository): void {
    const { pulls, manifests, touched } = repository;
    for (const pull of pulls) {
      const manifest = certainManifest(pull, repository);
      if (manifest) this.#settleFor(pull.attempt, manifest.digest, repository);
    }
    const now = Date.now();
    const inOrder = manifests
      .flatMap(({ digest, blobs }) => {
        const touchedAt = blobs.length > 0 ? touched.get(digest) : undefined;
        // Later than now: the clock was set back since then.
        return touchedAt === undefined || touchedAt > now ? [] : [{ digest, touchedAt }];
      })
      .toSorted((a, b) => a.touchedAt - b.touchedAt);
    for (const { digest, touchedAt } of inOrder) this.#claim(digest, touchedAt, pulls);
  }

  /** The manifest of an attempt if it is known, otherwise all that may be; of an attempt that is over, that is none. */
  manifestsOf(
    attempt: PullAttempt,
    manifests: readonly StoredManifest[],
  ): { readonly manifests: readonly StoredManifest[]; readonly isKnown: boolean } {
    const own = manifests.filter(({ digest }) => digest === attempt.manifest);
    if (own.length > 0) return { manifests: own, isKnown: true };
    const mayBe = ({ digest }: StoredManifest) => this.#claims.get(digest)?.attempts.has(attempt);
    return { manifests: attempt.isOver ? [] : manifests.filter(mayBe), isKnown: false };
  }

  /** Forgets all manifests but these. */
  keepOnly(digests: ReadonlySet<string>): void {
    for (const digest of this.#claims.keys()) if (!digests.has(digest)) this.#claims.delete(digest);
  }

  /** It is certain: whoever passed for the one that fetched this manifest has fetched another. */
  #settleFor(attempt: PullAttempt, digest: string, { pulls, touched }: Repository): void {
    for (const { attempt: other } of pulls)
      if (other.manifest === digest && !other.isCertain) other.manifest = undefined;
    attempt.isCertain = true;
    this.#take(attempt, digest, touched.get(digest));
  }

  #claim(digest: string, touchedAt: number, pulls: readonly RepositoryPull[]): void {
    const open = pulls
      .filter(pull => pull.digest === undefined && pull.startedAt <= touchedAt)
      .map(({ attempt }) => attempt)
      .filter(({ isOver, manifest }) => !isOver && manifest === undefined);
    let claim = this.#claims.get(digest);
    if (claim?.touchedAt !== touchedAt || claim.attempts.size === 0) {
      if (open.length === 0) return;
      claim = { touchedAt, attempts: new Set(open) };
      this.#claims.set(digest, claim);
    }
    const [attempt, ...others] = claim.attempts;
    if (attempt && others.length === 0 && open.includes(attempt)) this.#take(attempt, digest, touchedAt);
  }

  #take(attempt: PullAttempt, digest: string, touchedAt: number | undefined): void {
    attempt.manifest = digest;
    for (const { attempts } of this.#claims.values()) attempts.delete(attempt);
    this.#claims.set(digest, { touchedAt, attempts: new Set([attempt]) });
  }
}

/**
 * Of a pull that has succeeded the runtime has said what it was. One that names a digest fetches that, or what an index
 * of that digest lists, and has come to it when it was touched.
 */
function certainManifest(
  { attempt, digest, startedAt }: RepositoryPull,
  { manifests, touched }: Repository,
): StoredManifest | undefined {
  const { config } = attempt;
  if (config !== undefined) return manifests.find(({ blobs }) => blobs.some(blob => blob.digest === config));
  if (digest === undefined || attempt.isOver) return undefined;
  const children = manifests.find(manifest => manifest.digest === digest)?.children ?? [];
  return manifests.find(
    manifest =>
      manifest.blobs.length > 0 &&
      [digest, ...children].includes(manifest.digest) &&
      (touched.get(manifest.digest) ?? Number.NEGATIVE_INFINITY) >= startedAt,
  );
}
