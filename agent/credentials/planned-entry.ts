import { type Entry, entryValue } from './entry.ts';
import { readerOf } from './target-kind.ts';

/** An entry as it is to stand in one file. */
export type PlannedEntry = {
  readonly registry: string;
  readonly source: string;
  /** Its JSON value. */
  readonly value: string;
};

/** The entries in the form in which the reader of the file at `path` takes them; those that it cannot use are left out. */
export function planEntries(entries: readonly Entry[], path: string): readonly PlannedEntry[] {
  const reader = readerOf(path);
  return entries.flatMap(entry => {
    const value = entryValue(entry, reader);
    return value === undefined ? [] : [{ registry: entry.registry, source: entry.source, value }];
  });
}
