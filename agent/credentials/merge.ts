import {
  type DockerConfigForm,
  type DockerConfigText,
  formatDockerConfigText,
} from '../docker-config/docker-config-text.ts';
import type { OwnedEntry, OwnedTarget } from './ownership-record.ts';
import type { PlannedEntry } from './planned-entry.ts';

/** What a merge starts from. */
export type MergeInput = {
  /** The text of the file and what it says (undefined if it is no docker config); undefined if there is no file. */
  readonly existing: { readonly text: string; readonly config: DockerConfigText | undefined } | undefined;
  readonly form: DockerConfigForm;
  /** Whether an entry, given as raw JSON, makes the file's reader drop it as a whole. */
  readonly isVoiding: (rawValue: string) => boolean;
  /** The entries that should be there, one per registry. */
  readonly entries: readonly PlannedEntry[];
  readonly owned: Pick<OwnedTarget, 'created' | 'entries' | 'aside'>;
  /** The keyed digest of a raw JSON value. */
  readonly digest: (rawValue: string) => string;
};

/** What a merge comes to. */
export type MergeResult = {
  /** The file's new text, equal to the old one if nothing changes; undefined: there should be no file. */
  readonly text: string | undefined;
  /** What is ours of the file once it says that. */
  readonly created: boolean;
  readonly entries: ReadonlyMap<string, OwnedEntry>;
  readonly aside: ReadonlyMap<string, string>;
  /** The registry keys of other people's entries that stay in the file. */
  readonly foreign: readonly string[];
};

/**
 * Merges our entries into a docker config. Other people's entries and keys stay as they are; where ours takes the
 * place of theirs, or theirs would void the file, theirs is kept aside and put back when ours goes. What is in the
 * file but not recorded as ours, or was changed since we wrote it, is theirs.
 */
export function mergeDockerConfig(input: MergeInput): MergeResult {
  const { existing, owned, form } = input;
  const before = existing?.config?.entries ?? new Map<string, string>();
  const merged = new Map(before);
  const aside = new Map(owned.aside);
  const entries = placeEntries(merged, aside, input);
  withdrawEntries(merged, aside, entries, input);
  if (entries.size > 0) setVoidingAside(merged, aside, entries, input);
  putBack(merged, aside, entries, input);

  const others = existing?.config?.others ?? new Map<string, string>();
  const changed = !isSame(before, merged);
  // A file that was no docker config is replaced, and what replaces it is made by us.
  const created = owned.created || existing === undefined || (changed && existing.config === undefined);
  // In what is no docker config is nothing of ours: that is not emptied by taking ours out.
  const isGarbage = existing !== undefined && existing.config === undefined;
  const empty = created && !isGarbage && merged.size === 0 && others.size === 0;
  const mergedText = changed ? formatDockerConfigText({ others, entries: merged }, form) : existing?.text;
  return {
    text: empty ? undefined : mergedText,
    // Once nothing of ours is left in a file that others use too, it is theirs.
    created: created && !empty && entries.size > 0,
    entries,
    aside,
    foreign: [...merged.keys()].filter(registry => !entries.has(registry)),
  };
}

/** Puts the wanted entries into `merged` and returns what we then own. */
function placeEntries(
  merged: Map<string, string>,
  aside: Map<string, string>,
  input: MergeInput,
): ReadonlyMap<string, OwnedEntry> {
  const entries = new Map<string, OwnedEntry>();
  for (const { registry, source, value } of input.entries) {
    const digest = input.digest(value);
    const current = merged.get(registry);
    entries.set(registry, { source, digests: [digest] });
    if (current !== undefined && !isOurs(registry, current, input)) aside.set(registry, current);
    // Somebody took our entry out (docker logout): they do not want theirs back either.
    else if (current === undefined && isTakenOut(registry, input)) aside.delete(registry);
    if (current === undefined || input.digest(current) !== digest) merged.set(registry, value);
  }
  return entries;
}

/** Takes what is ours and no longer wanted out of `merged`; what it displaced takes its place again. */
function withdrawEntries(
  merged: Map<string, string>,
  aside: Map<string, string>,
  entries: ReadonlyMap<string, OwnedEntry>,
  input: MergeInput,
): void {
  for (const registry of input.owned.entries.keys()) {
    if (entries.has(registry) || !isOurs(registry, merged.get(registry), input)) continue;
    const theirs = aside.get(registry);
    aside.delete(registry);
    if (theirs === undefined) merged.delete(registry);
    else merged.set(registry, theirs);
  }
}

/** One malformed entry makes its reader drop the whole file, and ours with it. */
function setVoidingAside(
  merged: Map<string, string>,
  aside: Map<string, string>,
  entries: ReadonlyMap<string, OwnedEntry>,
  { isVoiding }: MergeInput,
): void {
  for (const [registry, value] of merged) {
    if (entries.has(registry) || !isVoiding(value)) continue;
    aside.set(registry, value);
    merged.delete(registry);
  }
}

/** Puts back what no longer has to make room. If somebody has put an entry there since, that is the one that counts. */
function putBack(
  merged: Map<string, string>,
  aside: Map<string, string>,
  entries: ReadonlyMap<string, OwnedEntry>,
  { isVoiding }: MergeInput,
): void {
  for (const [registry, value] of aside) {
    if (entries.has(registry) || (entries.size > 0 && isVoiding(value))) continue;
    aside.delete(registry);
    if (!merged.has(registry)) merged.set(registry, value);
  }
}

/** Our entry is no longer in the file, and nothing has happened to the file as a whole. */
function isTakenOut(registry: string, { existing, owned }: MergeInput): boolean {
  return existing?.config !== undefined && owned.entries.has(registry);
}

function isOurs(registry: string, value: string | undefined, { owned, digest }: MergeInput): boolean {
  return value !== undefined && (owned.entries.get(registry)?.digests.includes(digest(value)) ?? false);
}

function isSame(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): boolean {
  return (
    before.size === after.size && [...before].every(([registry, value]) => after.get(registry) === value)
  );
}
