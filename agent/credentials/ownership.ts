import { createHmac, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf } from '../base/failure.ts';
import { fileFailure } from '../base/file-failure.ts';
import { readTextFile } from '../base/read-text-file.ts';
import { removeLeftovers, replaceFile } from '../base/replace-file.ts';

const ownershipRecord = z.object({
  version: z.literal(1),
  /** Key of the digests, so that the record does not help anybody to guess a credential. */
  key: z.string().min(32),
  targets: z.array(
    z.object({
      path: z.string(),
      created: z.boolean(),
      entries: z.array(
        z.object({
          registry: z.string(),
          source: z.string(),
          digests: z.array(z.string()),
          displaced: z.string().optional(),
        }),
      ),
    }),
  ),
});

/** What we own of one entry. */
export type OwnedEntry = {
  /** The source that the entry came from. */
  readonly source: string;
  /** Keyed digests of the values that we wrote or were about to write; more than one only between the two. */
  readonly digests: readonly string[];
  /** The raw JSON value of somebody else's entry that stood there before, to be put back when ours goes. */
  readonly displaced?: string | undefined;
};

/** What we own of one target file. */
export type OwnedTarget = {
  /** We made the file, so we remove it when nothing is left in it. */
  readonly created: boolean;
  readonly entries: ReadonlyMap<string, OwnedEntry>;
};

/** What we own of a target that we never wrote. */
export const nothingOwned: OwnedTarget = { created: false, entries: new Map() };

/** The record of what we wrote, kept in the state directory on the node: by it a later start knows ours from theirs. */
export class Ownership {
  readonly #path: string;
  readonly #key: string;
  readonly #targets: Map<string, OwnedTarget>;
  #written: string | undefined;

  private constructor(path: string, key: string, targets: Map<string, OwnedTarget>) {
    this.#path = path;
    this.#key = key;
    this.#targets = targets;
  }

  /**
   * Reads the record in `stateDirectory`; a missing one is a new one. One that cannot be understood is set aside
   * (`ownership.json.unreadable`) and started anew: what cannot be known is treated as somebody else's.
   */
  static async load(stateDirectory: string): Promise<Ownership> {
    const path = join(stateDirectory, 'ownership.json');
    await removeLeftovers(path);
    const text = await readTextFile(path).catch(error => {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw fileFailure(`reading the ownership record ${path}`, error);
    });
    const record = text === undefined ? undefined : parseRecord(text);
    if (text !== undefined && record === undefined) await replaceFile(`${path}.unreadable`, text);
    const targets = record?.targets.map(
      ({ path: target, created, entries }) =>
        [
          target,
          { created, entries: new Map(entries.map(({ registry, ...entry }) => [registry, entry])) },
        ] as const,
    );
    return new Ownership(path, record?.key ?? randomBytes(32).toString('hex'), new Map(targets));
  }

  /** The paths of all targets that hold something of ours. */
  get targets(): readonly string[] {
    return [...this.#targets.keys()];
  }

  of(target: string): OwnedTarget {
    return this.#targets.get(target) ?? nothingOwned;
  }

  /** The keyed digest of an entry's value; how the value is formatted does not count. */
  digest(rawValue: string): string {
    return createHmac('sha256', this.#key).update(withoutFormatting(rawValue)).digest('hex');
  }

  /**
   * Records what we own of `target` from now on; durable when it returns. A record that would not change is not
   * written. If it cannot be written, an error says so and the old record stays in force.
   */
  async record(target: string, owned: OwnedTarget): Promise<void> {
    const before = this.#targets.get(target);
    this.#set(target, owned);
    const text = this.#format();
    if (text === this.#written) return;
    try {
      await replaceFile(this.#path, text);
      this.#written = text;
    } catch (error) {
      this.#set(target, before ?? nothingOwned);
      throw fileFailure(`writing the ownership record ${this.#path}`, error);
    }
  }

  #set(target: string, owned: OwnedTarget): void {
    if (owned.created || owned.entries.size > 0) this.#targets.set(target, owned);
    else this.#targets.delete(target);
  }

  #format(): string {
    const targets = [...this.#targets].map(([path, { created, entries }]) => ({
      path,
      created,
      entries: [...entries].map(([registry, entry]) => ({ registry, ...entry })),
    }));
    return `${JSON.stringify({ version: 1, key: this.#key, targets }, null, 1)}\n`;
  }
}

function withoutFormatting(rawValue: string): string {
  try {
    return JSON.stringify(JSON.parse(rawValue));
  } catch {
    // Nested so deeply that the stack ends, which nothing is that we ever wrote.
    return rawValue;
  }
}

function parseRecord(text: string): z.infer<typeof ownershipRecord> | undefined {
  try {
    return ownershipRecord.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
