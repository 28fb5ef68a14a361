import type { MeasuredPull } from '../runtime.ts';
import type { StoredManifest } from './content-store.ts';

/** A pull with its manifest, or with all that may be. */
export type FoundPull = {
  readonly name: string;
  readonly repository: string;
  readonly manifests: readonly StoredManifest[];
  /** There is one manifest, and it is that of the pull. */
  readonly isKnown: boolean;
};

/** What there is of the blobs: those that are done, and the bytes of those that are being fetched. */
export type Blobs = { readonly done: ReadonlySet<string>; readonly ingests: ReadonlyMap<string, number> };

/** Counts the bytes of pulls. */
export class PullBytes {
  /** By the repository, what its pulls had in the last measure of manifests of which it was not known whose they are. */
  #unclaimed: ReadonlyMap<string, number> = new Map();

  /** Measures all pulls that are under way, by the name of the image; one that has no manifest yet is left out. */
  measure(pulls: readonly FoundPull[], blobs: Blobs): ReadonlyMap<string, MeasuredPull> {
    const images = new Map<string, MeasuredPull>();
    for (const { name, manifests, isKnown } of pulls)
      if (isKnown) images.set(name, measureManifests(manifests, blobs));
    const unknown = pulls.filter(({ isKnown, manifests }) => !isKnown && manifests.length > 0);
    const unclaimed = new Map<string, number>();
    for (const [repository, its] of Map.groupBy(unknown, ({ repository }) => repository)) {
      const together = measureManifests(
        its.flatMap(({ manifests }) => manifests),
        blobs,
      );
      unclaimed.set(repository, together.bytesDone);
      // That bytes come, or that none is to come, is all that can be said of any one of them.
      const grew = together.bytesDone > (this.#unclaimed.get(repository) ?? -1);
      const measured = { bytesDone: 0, bytesTotal: null, awaitsBytes: together.awaitsBytes && !grew };
      for (const { name } of its) images.set(name, measured);
    }
    this.#unclaimed = unclaimed;
    return images;
  }
}

/**
 * While a blob is asked for, also before its first byte, it is an ingest. Where nothing that is missing is one,
 * containerd unpacks, or has these layers unpacked already, and no byte is to come.
 */
function measureManifests(manifests: readonly StoredManifest[], { done, ingests }: Blobs) {
  const blobs = manifests.flatMap(manifest => manifest.blobs);
  const unique = new Map(blobs.map(({ digest, size }) => [digest, size]));
  const sums = { bytesDone: 0, bytesTotal: 0, awaitsBytes: false };
  for (const [digest, size] of unique) {
    const isDone = done.has(digest);
    sums.bytesTotal += size;
    sums.bytesDone += isDone ? size : Math.min(size, ingests.get(digest) ?? 0);
    sums.awaitsBytes ||= !isDone && ingests.has(digest);
  }
  return sums;
}
