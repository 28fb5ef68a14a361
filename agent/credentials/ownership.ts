import { createHmac, randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileFailure } from '../base/file-failure.ts';
import { readTextFile } from '../base/read-text-file.ts';
import { missingIsUndefined } from '../base/real-path.ts';
import { removeFile, removeLeftoversIn, replaceFile } from '../base/replace-file.ts';
import { removeUnusedCopies } from './original.ts';
import { formatRecord, nothingOwned, type OwnedTarget, parseRecord } from './ownership-record.ts';

/** The record of a Secret full of tiny entries is some times as large as that; this is room for dozens of them. */
const maxRecordBytes = 256 * 2 ** 20;

/** The record of what we wrote, kept in the state directory on the node: by it a later start knows ours from theirs. */
export class Ownership {
  readonly #path: string;
  readonly #key: string;
  readonly #targets: Map<string, OwnedTarget>;
  #written: string | undefined;

  /** Where a record lies that could not be understood, now or before; null if there is none. */
  readonly unreadable: string | null;

  private constructor(
    path: string,
    key: string,
    targets: Map<string, OwnedTarget>,
    unreadable: string | null,
  ) {
    this.#path = path;
    this.unreadable = unreadable;
    this.#key = key;
    this.#targets = targets;
  }

  /**
   * Reads the record in `stateDirectory`; a missing one is a new one. One that cannot be understood is set aside
   * (`ownership.json.unreadable`) and started anew: what cannot be known is treated as somebody else's.
   */
  static async load(stateDirectory: string): Promise<Ownership> {
    const path = join(stateDirectory, 'ownership.json');
    try {
      return await Ownership.#load(path, stateDirectory);
    } catch (error) {
      throw fileFailure(`reading the ownership record ${path}`, error);
    }
  }

  static async #load(path: string, stateDirectory: string): Promise<Ownership> {
    await removeLeftoversIn(stateDirectory);
    const text = await readTextFile(path, maxRecordBytes).catch(missingIsUndefined);
    const record = text === undefined ? undefined : parseRecord(text);
    const unreadable = `${path}.unreadable`;
    if (text !== undefined && record === undefined) {
      await replaceFile(unreadable, text);
      await removeFile(path);
    }
    const isLost = (await stat(unreadable).catch(missingIsUndefined)) !== undefined;
    const key = record?.key ?? randomBytes(32).toString('hex');
    const ownership = new Ownership(path, key, new Map(record?.targets), isLost ? unreadable : null);
    // An agent that was killed may have left some. A record that cannot be understood may still need them.
    if (!isLost) await removeUnusedCopies(stateDirectory, ownership.copies);
    return ownership;
  }

  /** The paths of all targets that hold something of ours. */
  get targets(): readonly string[] {
    return [...this.#targets.keys()];
  }

  /** The names of the copies of files that were there before ours. */
  get copies(): ReadonlySet<string> {
    return new Set([...this.#targets.values()].flatMap(({ original }) => original?.copy ?? []));
  }

  of(target: string): OwnedTarget {
    return this.#targets.get(target) ?? nothingOwned;
  }

  /** The keyed digest of an entry's value; how the value is formatted does not count. */
  digest(rawValue: string): string {
    return this.digestBytes(withoutFormatting(rawValue));
  }

  /** The keyed digest of a whole file, to the byte. */
  digestBytes(bytes: string | Uint8Array): string {
    return createHmac('sha256', this.#key).update(bytes).digest('hex');
  }

  /**
   * Records what we own of `target` from now on; durable when it returns. A record that would not change is not
   * written, and none is kept of nothing. If it cannot be written, an error says so and the old one stays in force.
   */
  async record(target: string, owned: OwnedTarget): Promise<void> {
    const before = this.#targets.get(target);
    this.#set(target, owned);
    const text = formatRecord({ key: this.#key, targets: this.#targets });
    if (text === this.#written) return;
    try {
      await (this.#targets.size === 0 ? removeFile(this.#path) : replaceFile(this.#path, text));
      this.#written = text;
    } catch (error) {
      this.#set(target, before ?? nothingOwned);
      throw fileFailure(`writing the ownership record ${this.#path}`, error);
    }
  }

  #set(target: string, owned: OwnedTarget): void {
    const isNothing = !owned.created && owned.entries.size === 0 && owned.aside.size === 0 && !owned.original;
    if (isNothing) this.#targets.delete(target);
    else this.#targets.set(target, owned);
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
