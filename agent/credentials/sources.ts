import { type Entry, isSameCredential, unexpired } from './entry.ts';
import type { SecretContent, SecretVolumes } from './secret-volume.ts';
import { type HelperRequest, readDocument } from './source-document.ts';

/** One mounted Secret: how its last look went, and the entries in force. */
export type Source = {
  readonly name: string;
  /**
   * `current`: the last look was good; `kept`: it was not, and the last good entries are in force; `absent`: there is
   * no Secret and never was; `invalid`: it cannot be used and never could.
   */
  readonly state: 'current' | 'kept' | 'absent' | 'invalid';
  readonly entries: readonly Entry[];
  /** The registries that it leaves to helper programs. */
  readonly helpers: readonly HelperRequest[];
  /** The registry keys of entries that are listed and cannot be used. */
  readonly leftOut: readonly string[];
  readonly problems: readonly string[];
};

/**
 * Folds what is mounted now into what was known before. A bad input never takes an entry away: a source that is empty,
 * unreadable or malformed keeps its last good entries. Only a good document that no longer lists an entry, or a
 * source whose directory is gone, does.
 */
export function nextSources(known: readonly Source[], seen: SecretVolumes): readonly Source[] {
  if (!seen.ok) return known.map(source => keep(source.name, source, seen.problem));
  const before = new Map(known.map(source => [source.name, source]));
  // A directory that was itself a Secret and now is empty is that Secret without content, not one that is gone.
  const emptied = seen.volumes.size === 0 && before.has(seen.itself);
  const volumes = emptied ? new Map([[seen.itself, { kind: 'empty' } as const]]) : seen.volumes;
  return [...volumes].map(([name, content]) => nextSource(name, before.get(name), content));
}

const nothingListed = { entries: [], helpers: [], leftOut: [] };

function nextSource(name: string, before: Source | undefined, content: SecretContent): Source {
  if (content.kind === 'unreadable') return keep(name, before, content.problem);
  if (content.kind === 'empty') {
    const problem = 'the Secret does not exist or holds none of .dockerconfigjson, .dockercfg, config.json';
    return isKnownGood(before)
      ? keep(name, before, problem)
      : { name, state: 'absent', ...nothingListed, problems: [problem] };
  }
  const reading = readDocument(content.text, content.form, name);
  if (!reading.ok)
    return keep(name, before, `${content.file} of the Secret cannot be used: ${reading.problem}`);
  const { entries, helpers, leftOut, problems } = reading;
  // An entry that is still listed, but not usable now, is not revoked: its last good credential stays in force. So
  // does that of a registry whose helper program has yet to answer.
  const named = new Set(entries.map(({ registry }) => registry));
  const unusable = new Set(leftOut);
  const asked = new Set(helpers.map(({ registry }) => registry));
  const kept = (before?.entries ?? []).filter(
    ({ registry, isAnswer }) =>
      unusable.has(registry) || (asked.has(registry) && (isAnswer || !named.has(registry))),
  );
  // What a program answered before goes before what the document says, as its next answer will.
  const keptNames = new Set(kept.map(({ registry }) => registry));
  const others = entries.filter(({ registry }) => !keptNames.has(registry));
  return { name, state: 'current', entries: [...others, ...kept], helpers, leftOut, problems };
}

function keep(name: string, before: Source | undefined, problem: string): Source {
  if (!isKnownGood(before)) return { name, state: 'invalid', ...nothingListed, problems: [problem] };
  return { ...before, state: 'kept', problems: [problem] };
}

function isKnownGood(source: Source | undefined): source is Source {
  return source?.state === 'current' || source?.state === 'kept';
}

/** How an entry of a source stands: `displaced` by that of a later source for the same registry. */
export type EntryStanding = {
  readonly registry: string;
  readonly source: string;
  readonly expiresAt: Date | null;
  readonly state: 'written' | 'expired' | 'invalid' | 'displaced';
};

/** What all sources say together. */
export type CombinedEntries = {
  /** One entry per registry key, in the order of the keys: those that are in force. */
  readonly entries: readonly Entry[];
  /** Every entry of every source, in the same order. */
  readonly standings: readonly EntryStanding[];
  readonly conflicts: readonly string[];
};

/**
 * Merges the sources in the order of their names; the later one wins per registry, and the conflict is reported. An
 * entry that has expired by `now` takes no part in it.
 */
export function combineSources(sources: readonly Source[], now: Date): CombinedEntries {
  const winners = new Map<string, Entry>();
  const standings: EntryStanding[] = [];
  const conflicts: string[] = [];
  const ordered = sources.toSorted((a, b) => compareText(a.name, b.name));
  for (const entry of ordered.flatMap(({ entries }) => entries)) {
    const left = unexpired(entry, now);
    if (!left) {
      standings.push({ ...pick(entry), state: 'expired' });
      continue;
    }
    const loser = winners.get(entry.registry);
    if (loser && !isSameCredential(loser, left)) {
      const sourceNames = `${loser.source} and ${left.source}`;
      conflicts.push(
        `${JSON.stringify(entry.registry)} is in the Secrets ${sourceNames}; the latter is used`,
      );
    }
    if (loser) standings.push({ ...pick(loser), state: 'displaced' });
    winners.set(entry.registry, left);
  }
  const entries = [...winners.values()].toSorted((a, b) => compareText(a.registry, b.registry));
  standings.push(
    ...entries.map(entry => ({ ...pick(entry), state: 'written' as const })),
    ...ordered.flatMap(findInvalid),
  );
  return {
    entries,
    standings: standings.toSorted(
      (a, b) => compareText(a.registry, b.registry) || compareText(a.source, b.source),
    ),
    conflicts,
  };
}

/** The entries of a source that are listed, cannot be used, and never could. */
function findInvalid({ name, entries, leftOut }: Source): readonly EntryStanding[] {
  const kept = new Set(entries.map(({ registry }) => registry));
  return leftOut
    .filter(registry => !kept.has(registry))
    .map(registry => ({ registry, source: name, expiresAt: null, state: 'invalid' as const }));
}

function pick({ registry, source, expiresAt }: Entry) {
  return { registry, source, expiresAt };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
