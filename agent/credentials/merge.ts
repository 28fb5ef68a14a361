import { type DockerConfigText, formatDockerConfigText } from './docker-config-text.ts';
import { type Entry, entryValue } from './entry.ts';
import { nothingOwned, type OwnedEntry, type OwnedTarget } from './ownership.ts';

/** What a merge starts from. */
export type MergeInput = {
  /** The text of the file and what it says (undefined if it is no docker config); undefined if there is no file. */
  readonly existing: { readonly text: string; readonly config: DockerConfigText | undefined } | undefined;
  /** The entries that should be there, one per registry. */
  readonly entries: readonly Entry[];
  readonly owned: OwnedTarget;
  /** The keyed digest of a raw JSON value. */
  readonly digest: (rawValue: string) => string;
};

/** What a merge comes to. */
export type MergeResult = {
  /** The file's new text, equal to the old one if nothing changes; undefined: there should be no file. */
  readonly text: string | undefined;
  /** What to record before the file is changed: by it both the old and the new values are known to be ours. */
  readonly entering: OwnedTarget;
  /** What to record once the file is changed. */
  readonly settled: OwnedTarget;
  /** The registry keys of other people's entries that stay in the file. */
  readonly foreign: readonly string[];
  /** The registry keys of other people's entries that ours stand in for. */
  readonly displaced: readonly string[];
};

/**
 * Merges our entries into a docker config. Other people's entries and keys stay as they are; where ours takes the
 * place of theirs, theirs is kept in the record and put back when ours goes. What is in the file but not recorded as
 * ours, or was changed since we wrote it, is theirs.
 */
export function mergeDockerConfig(input: MergeInput): MergeResult {
  const { existing, owned } = input;
  const merged = new Map(existing?.config?.entries);
  const withdrawn = withdrawEntries(merged, input);
  const { settledEntries, placed } = placeEntries(merged, input);

  const others = existing?.config?.others ?? new Map<string, string>();
  const changed = withdrawn || placed;
  // A file that was no docker config is replaced, and what replaces it is made by us.
  const created = owned.created || existing === undefined || (changed && existing.config === undefined);
  const empty = created && merged.size === 0 && others.size === 0;
  // Once nothing of ours is left in a file that others use too, it is theirs.
  const settled = empty || settledEntries.size === 0 ? nothingOwned : { created, entries: settledEntries };
  const mergedText = changed ? formatDockerConfigText({ others, entries: merged }) : existing?.text;
  return {
    text: empty ? undefined : mergedText,
    entering: both(owned, settled),
    settled,
    foreign: [...merged.keys()].filter(registry => !settledEntries.has(registry)),
    displaced: [...settledEntries]
      .filter(([, entry]) => entry.displaced !== undefined)
      .map(([registry]) => registry),
  };
}

/** Takes what is ours and no longer wanted out of `merged`, and puts back what it displaced. True if anything was. */
function withdrawEntries(merged: Map<string, string>, input: MergeInput): boolean {
  const wanted = new Set(input.entries.map(entry => entry.registry));
  let changed = false;
  for (const [registry, { displaced }] of input.owned.entries) {
    if (wanted.has(registry) || !isOurs(registry, merged.get(registry), input)) continue;
    changed = true;
    if (displaced === undefined) merged.delete(registry);
    else merged.set(registry, displaced);
  }
  return changed;
}

/** Puts the wanted entries into `merged` and returns what we then own, and whether anything changed. */
function placeEntries(
  merged: Map<string, string>,
  input: MergeInput,
): { settledEntries: ReadonlyMap<string, OwnedEntry>; placed: boolean } {
  const settledEntries = new Map<string, OwnedEntry>();
  let placed = false;
  for (const entry of input.entries) {
    const { registry, source } = entry;
    const value = JSON.stringify(entryValue(entry));
    const digest = input.digest(value);
    const current = merged.get(registry);
    const theirs = current !== undefined && !isOurs(registry, current, input);
    const displaced = theirs ? current : input.owned.entries.get(registry)?.displaced;
    settledEntries.set(registry, { source, digests: [digest], displaced });
    if (current !== undefined && input.digest(current) === digest) continue;
    placed = true;
    merged.set(registry, value);
  }
  return { settledEntries, placed };
}

function isOurs(registry: string, value: string | undefined, { owned, digest }: MergeInput): boolean {
  return value !== undefined && (owned.entries.get(registry)?.digests.includes(digest(value)) ?? false);
}

function both(before: OwnedTarget, after: OwnedTarget): OwnedTarget {
  const entries = new Map(before.entries);
  for (const [registry, entry] of after.entries) {
    const digests = new Set([...(before.entries.get(registry)?.digests ?? []), ...entry.digests]);
    entries.set(registry, { ...entry, digests: [...digests] });
  }
  return { created: before.created || after.created, entries };
}
