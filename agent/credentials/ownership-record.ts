import { z } from 'zod';
import { type OriginalFile, originalFile } from './original.ts';

/** What we own of one entry. */
export type OwnedEntry = {
  /** The source that the entry came from. */
  readonly source: string;
  /** Keyed digests of the values that we wrote or were about to write; more than one only between the two. */
  readonly digests: readonly string[];
};

/** What we own of one target file. */
export type OwnedTarget = {
  /** We made the file, so we remove it when nothing is left in it. */
  readonly created: boolean;
  /** The directories above it that we made, from the outermost in, as paths on the node. */
  readonly directories: readonly string[];
  /** Null if there was none, or somebody else has written since, whose work would be lost. */
  readonly original: OriginalFile | null;
  /** Keyed digests of the whole text that we wrote last, or were about to write. */
  readonly wrote: readonly string[];
  readonly entries: ReadonlyMap<string, OwnedEntry>;
  /** The raw JSON values of other people's entries that had to make room, by registry key; they are put back. */
  readonly aside: ReadonlyMap<string, string>;
};

/** What we own of a target that we never wrote. */
export const nothingOwned: OwnedTarget = {
  created: false,
  directories: [],
  original: null,
  wrote: [],
  entries: new Map(),
  aside: new Map(),
};

/** The record as a whole. */
export type OwnershipRecord = {
  /** Key of the digests, so that the record does not help anybody to guess a credential. */
  readonly key: string;
  readonly targets: ReadonlyMap<string, OwnedTarget>;
};

const ownedEntry = z.object({ registry: z.string(), source: z.string(), digests: z.array(z.string()) });

const key = z.string().min(32);

const current = z.object({
  version: z.literal(2),
  key,
  targets: z.array(
    z.object({
      path: z.string(),
      created: z.boolean(),
      directories: z.array(z.string()),
      original: originalFile.nullable(),
      wrote: z.array(z.string()),
      entries: z.array(ownedEntry),
      aside: z.array(z.object({ registry: z.string(), value: z.string() })),
    }),
  ),
});

/** What the first agents wrote: of the file that was there before it knows no more than the entries that made room. */
const first = z.object({
  version: z.literal(1),
  key,
  targets: z.array(
    z.object({
      path: z.string(),
      created: z.boolean(),
      entries: z.array(ownedEntry.extend({ displaced: z.string().optional() })),
    }),
  ),
});

/** Reads a record, also one of an older agent; undefined if it cannot be understood. */
export function parseRecord(text: string): OwnershipRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const older = first.safeParse(value);
    const { key: digestKey, targets } = older.success ? upgrade(older.data) : current.parse(value);
    const owned = targets.map(
      ({ path, entries, aside, ...rest }) =>
        [
          path,
          {
            ...rest,
            entries: new Map(entries.map(({ registry, ...entry }) => [registry, entry])),
            aside: new Map(aside.map(({ registry, value: kept }) => [registry, kept])),
          },
        ] as const,
    );
    return { key: digestKey, targets: new Map(owned) };
  } catch {
    return undefined;
  }
}

function upgrade(record: z.infer<typeof first>): z.infer<typeof current> {
  const targets = record.targets.map(({ path, created, entries }) => ({
    path,
    created,
    directories: [],
    original: null,
    wrote: [],
    entries,
    aside: entries.flatMap(({ registry, displaced }) =>
      displaced === undefined ? [] : [{ registry, value: displaced }],
    ),
  }));
  return { version: 2, key: record.key, targets };
}

/** The text of a record. */
export function formatRecord({ key: digestKey, targets }: OwnershipRecord): string {
  const written = [...targets].map(([path, { entries, aside, ...owned }]) => ({
    path,
    ...owned,
    entries: [...entries].map(([registry, { source, digests }]) => ({ registry, source, digests })),
    aside: [...aside].map(([registry, value]) => ({ registry, value })),
  }));
  return `${JSON.stringify({ version: 2, key: digestKey, targets: written })}\n`;
}
