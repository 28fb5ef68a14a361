import { readDocument } from './docker-config.ts';
import type { Entry } from './entry.ts';
import type { SecretContent, SecretVolumes } from './secret-volume.ts';

/** One mounted Secret: how its last look went, and the entries in force. */
export type Source = {
  readonly name: string;
  /**
   * `current`: the last look was good; `kept`: it was not, and the last good entries are in force; `absent`: there is
   * no Secret and never was; `invalid`: it cannot be used and never could.
   */
  readonly state: 'current' | 'kept' | 'absent' | 'invalid';
  readonly entries: readonly Entry[];
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

function nextSource(name: string, before: Source | undefined, content: SecretContent): Source {
  if (content.kind === 'unreadable') return keep(name, before, content.problem);
  if (content.kind === 'empty') {
    const problem = 'the Secret does not exist or holds none of .dockerconfigjson, .dockercfg, config.json';
    return isKnownGood(before)
      ? keep(name, before, problem)
      : { name, state: 'absent', entries: [], problems: [problem] };
  }
  const reading = readDocument(content.text, content.form, name);
  if (!reading.ok)
    return keep(name, before, `${content.file} of the Secret cannot be used: ${reading.problem}`);
  // An entry that is still listed, but not usable now, is not revoked: its last good credential stays in force.
  const keptEntries = (before?.entries ?? []).filter(({ registry }) => reading.leftOut.includes(registry));
  return {
    name,
    state: 'current',
    entries: [...reading.entries, ...keptEntries],
    problems: reading.problems,
  };
}

function keep(name: string, before: Source | undefined, problem: string): Source {
  if (!isKnownGood(before)) return { name, state: 'invalid', entries: [], problems: [problem] };
  return { name, state: 'kept', entries: before.entries, problems: [problem] };
}

function isKnownGood(source: Source | undefined): source is Source {
  return source?.state === 'current' || source?.state === 'kept';
}

/** What all sources say together. */
export type CombinedEntries = {
  /** One entry per registry key, in the order of the keys. */
  readonly entries: readonly Entry[];
  readonly conflicts: readonly string[];
};

/** Merges the sources in the order of their names; the later one wins per registry, and the conflict is reported. */
export function combineSources(sources: readonly Source[]): CombinedEntries {
  const winners = new Map<string, Entry>();
  const conflicts: string[] = [];
  for (const source of sources.toSorted((a, b) => compareText(a.name, b.name))) {
    for (const entry of source.entries) {
      const loser = winners.get(entry.registry);
      if (loser && loser.auth.reveal() !== entry.auth.reveal()) {
        conflicts.push(
          `${JSON.stringify(entry.registry)} is in the Secrets ${loser.source} and ${entry.source}; the latter is used`,
        );
      }
      winners.set(entry.registry, entry);
    }
  }
  return {
    entries: [...winners.values()].toSorted((a, b) => compareText(a.registry, b.registry)),
    conflicts,
  };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
