import { isUtf8 } from 'node:buffer';
import { rename, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../base/failure.ts';
import { fileFailure } from '../base/file-failure.ts';
import { missingDirectories } from '../base/real-path.ts';
import { removeFile, removeLeftovers, replaceFile } from '../base/replace-file.ts';
import { isVoidingForDocker, readAsDocker } from '../docker-config/docker-cli-reading.ts';
import { isVoidingForKubelet, readAsKubelet } from '../docker-config/kubelet-reading.ts';
import { withoutOurs } from './broken-text.ts';
import { type Entry, entryValue } from './entry.ts';
import { type MergeResult, mergeDockerConfig, type PlannedEntry } from './merge.ts';
import {
  isRestorable,
  keepCopy,
  keepOriginal,
  nameAside,
  removeUnusedCopies,
  restoreOriginal,
} from './original.ts';
import { nothingOwned, type OwnedTarget, type Ownership } from './ownership.ts';
import {
  type ExistingFile,
  findRefusal,
  identityOf,
  isPrivate,
  isYoung,
  readExisting,
} from './target-file.ts';
import { formOf, readerOf } from './target-kind.ts';

/** How a target stands after a look at it. */
export type TargetOutcome = {
  /** The path on the node. */
  readonly path: string;
  readonly state: 'current' | 'failed' | 'refused' | 'contested';
  /** How many entries of the file are ours, and how many are somebody else's. */
  readonly managed: number;
  readonly foreign: number;
  /** The registry keys whose foreign entries ours stand in for. */
  readonly displaced: readonly string[];
  /** The registry keys of foreign entries that would void the file and are kept aside. */
  readonly setAside: readonly string[];
  readonly problem: string | null;
  /** This look changed the file. */
  readonly written: boolean;
  /** It had to be written because somebody else has changed it since we wrote it last. */
  readonly drifted: boolean;
  /** What the file says, or would say if it could be written; by it the credentials of our own pulls are chosen. */
  readonly text: string | undefined;
};

/** Where a target is and where its record and what it displaces are kept. */
export type TargetPlace = {
  /** The path on the node, as the config names it. */
  readonly path: string;
  /** The node's root as mounted here. */
  readonly hostRoot: string;
  /** The state directory as mounted here. */
  readonly stateDirectory: string;
  readonly ownership: Pick<Ownership, 'of' | 'digest' | 'digestBytes' | 'record' | 'copies'>;
  /** Write also what would not change: whether the last write is on the disk is not known. */
  readonly rewrite?: boolean;
};

/**
 * Makes one docker config file on the node say what `entries` say, beside what others have in it, and returns how that
 * went; never throws. A file that already says it is not written.
 */
export async function reconcileTarget(place: TargetPlace, entries: readonly Entry[]): Promise<TargetOutcome> {
  const nothing = nothingFound(place.path);
  try {
    const refusal = await findRefusal(place.hostRoot, place.path, entries.length > 0);
    if (refusal !== undefined) return { ...nothing, state: 'refused', problem: refusal };
    return await mergeInto(place, planEntries(entries, place.path));
  } catch (error) {
    return { ...nothing, state: 'failed', problem: fileFailure(`updating ${place.path}`, error).message };
  }
}

/** Looks at a target without touching it: the state is `contested` unless it says what it should. */
export async function inspectTarget(place: TargetPlace, entries: readonly Entry[]): Promise<TargetOutcome> {
  const nothing = nothingFound(place.path);
  try {
    const look = await lookAt(place, planEntries(entries, place.path));
    const isCurrent = look.merge.text === look.existing?.text;
    return { ...describe(place.path, look), state: isCurrent ? 'current' : 'contested', problem: null };
  } catch (error) {
    return { ...nothing, state: 'failed', problem: fileFailure(`looking at ${place.path}`, error).message };
  }
}

/** The entries in the form in which the reader of the file at `path` takes them; those that it cannot use are left out. */
export function planEntries(entries: readonly Entry[], path: string): readonly PlannedEntry[] {
  const reader = readerOf(path);
  return entries.flatMap(entry => {
    const value = entryValue(entry, reader);
    return value === undefined ? [] : [{ registry: entry.registry, source: entry.source, value }];
  });
}

/** A target and what it should come to. */
type Look = {
  readonly file: string;
  readonly existing: ExistingFile | undefined;
  readonly owned: OwnedTarget;
  readonly merge: MergeResult;
  /** The file is as we wrote it, or as it was before us: nobody's later work is in it. */
  readonly isUntouched: boolean;
  /** The file says what we wrote last. */
  readonly isWritten: boolean;
  /** What stays of a file that is no docker config when ours is taken out of it; undefined if nothing of ours is in it. */
  readonly rest: Buffer | undefined;
};

async function lookAt(place: TargetPlace, entries: readonly PlannedEntry[]): Promise<Look> {
  const { path, hostRoot, ownership } = place;
  const file = join(hostRoot, path);
  const form = formOf(path);
  const existing = await readExisting(file, form);
  const owned = ownership.of(path);
  const digest = (value: string) => ownership.digest(value);
  const merge = mergeDockerConfig({ existing, form, isVoiding: voidingFor(path), entries, owned, digest });
  const bytes = existing && !existing.isDirectory ? ownership.digestBytes(existing.bytes) : undefined;
  const isUntouched =
    bytes === undefined
      ? await isMovedAside(file, owned)
      : [...owned.wrote, owned.original?.digest].includes(bytes);
  const rest = existing && !existing.config && !isUntouched ? restOf(existing, owned, ownership) : undefined;
  const isWritten = bytes !== undefined && owned.wrote.includes(bytes);
  return { file, existing, owned, merge, isUntouched, isWritten, rest };
}

function restOf(
  { bytes }: ExistingFile,
  { entries }: OwnedTarget,
  ownership: Pick<Ownership, 'digest'>,
): Buffer | undefined {
  const ours = new Set([...entries.values()].flatMap(({ digests }) => digests));
  const text = bytes.toString('latin1');
  const rest = withoutOurs(text, value => ours.has(ownership.digest(value)));
  return rest === text ? undefined : Buffer.from(rest, 'latin1');
}

/** Whether there is no file because we were killed between moving a directory aside and writing the file. */
async function isMovedAside(file: string, { original }: OwnedTarget): Promise<boolean> {
  return original?.directory ? await isRestorable(file, original, '', () => '') : false;
}

/** Whether the file is no docker config, while it is to be, or while what it says next may hold entries of ours. */
function isInDoubt({ existing, owned, merge, isUntouched }: Look): boolean {
  if (existing === undefined || existing.config !== undefined || existing.isDirectory || isUntouched)
    return false;
  return merge.text !== existing.text || owned.entries.size > 0;
}

async function mergeInto(place: TargetPlace, entries: readonly PlannedEntry[]): Promise<TargetOutcome> {
  const file = join(place.hostRoot, place.path);
  await removeLeftovers(file);
  // Somebody who changes the file while we merge is merged again, not overwritten.
  for (let round = 1; ; round++) {
    const seen = await identityOf(file);
    const look = await lookAt(place, entries);
    if (isInDoubt(look) && (await isYoung(file))) {
      const problem = `${place.path} is no docker config (it may be in the middle of being written)`;
      return { ...nothingFound(place.path), state: 'failed', drifted: true, problem };
    }
    const unlessChanged = async () => {
      if ((await identityOf(file)) !== seen) throw new ChangedMeanwhile();
    };
    try {
      return await write(place, look, unlessChanged);
    } catch (error) {
      if (!(error instanceof ChangedMeanwhile)) throw error;
      if (round < maxRounds) continue;
      const problem = `${place.path} is not written: somebody else keeps changing it`;
      return { ...describe(place.path, look), state: 'failed', managed: 0, drifted: true, problem };
    }
  }
}

/** Brings the file to what the merge came to, in steps after each of which a kill leaves ours told from theirs. */
async function write(
  place: TargetPlace,
  look: Look,
  unlessChanged: () => Promise<void>,
): Promise<TargetOutcome> {
  const { path, hostRoot, stateDirectory, ownership } = place;
  const { owned, merge } = look;
  const written = isWriteNeeded(place, look);
  try {
    // 1. What was there before us is kept, to the byte.
    const settled = await settle(place, look);
    // 2. What is ours is recorded first: after a kill at any point both the old and the new value are known as ours.
    if (written) await ownership.record(path, both(owned, settled));
    // 3. The file, whole or not at all, and only if it still is what was merged.
    const problem = written ? await replace(place, look, settled, unlessChanged) : null;
    // 4. What was made for it goes with it, and the old values are no longer ours.
    if (settled === nothingOwned) await removeDirectories(owned.directories, hostRoot);
    await ownership.record(path, settled);
    if (owned.original !== settled.original) await removeUnusedCopies(stateDirectory, ownership.copies);
    return { ...describe(path, look), ...findVoid(path, merge), ...(problem && { problem }), written };
  } catch (error) {
    if (error instanceof ChangedMeanwhile) throw error;
    const { message } = fileFailure(`writing ${path}`, error);
    return { ...describe(path, look), managed: 0, state: 'failed', problem: message };
  }
}

/** In what it says; or, if that is what we wrote, in who may read it. */
function isChangedByOthers({ existing, isUntouched, isWritten }: Look): boolean {
  return !isUntouched || (isWritten && existing !== undefined && !isPrivate(existing));
}

function isWriteNeeded(
  { rewrite = false }: Pick<TargetPlace, 'rewrite'>,
  { existing, merge, isUntouched, rest }: Look,
): boolean {
  if (merge.text !== existing?.text) return true;
  // Nothing there, and untouched: a directory is still aside.
  if (merge.entries.size === 0) return rest !== undefined || (existing === undefined && isUntouched);
  return rewrite || existing === undefined || !isPrivate(existing);
}

/** Puts the new text, or the very file that was there before ours, into its place. Returns what could not be restored. */
async function replace(
  place: TargetPlace,
  { file, existing, owned, merge, isUntouched, rest }: Look,
  settled: OwnedTarget,
  unlessChanged: () => Promise<void>,
): Promise<string | null> {
  // A directory that was moved aside is no change by somebody else.
  const options = existing?.isDirectory ? {} : { beforeRename: unlessChanged };
  if (rest && merge.text === existing?.text) {
    await replaceFile(file, rest, options);
    return null;
  }
  if (existing?.isDirectory) await moveAside(file, settled, unlessChanged);
  else if (existing && isLossy(existing))
    await keepCopy(place.path, rest ?? existing.bytes, place.stateDirectory);
  const original = merge.entries.size === 0 && isUntouched ? owned.original : null;
  const digest = (bytes: Buffer) => place.ownership.digestBytes(bytes);
  if (original && (await isRestorable(file, original, place.stateDirectory, digest)))
    return await restoreOriginal(file, original, place.stateDirectory, options);
  if (merge.text === undefined) await unlessChanged().then(() => removeFile(file));
  else await replaceFile(file, merge.text, options);
  return (
    original &&
    'the copy of the file that was there before is gone or damaged, so ours is taken out of what is there'
  );
}

/** Whether something of the file would be lost in what we write: it is no docker config, or has bytes that are no text. */
function isLossy({ bytes, config }: ExistingFile): boolean {
  return config === undefined || !isUtf8(bytes);
}

/** Moves a directory that stands in the place of the file aside, whatever is in it; only an empty one could be removed. */
async function moveAside(
  file: string,
  { original }: OwnedTarget,
  unlessChanged: () => Promise<void>,
): Promise<void> {
  await unlessChanged();
  await rename(file, join(dirname(file), original?.directory ?? nameAside(file)));
}

/** What is ours once the file says what the merge came to. */
async function settle(place: TargetPlace, look: Look): Promise<OwnedTarget> {
  const { path, hostRoot, stateDirectory, ownership } = place;
  const { file, existing, owned, merge, isUntouched } = look;
  if (merge.entries.size === 0 && merge.aside.size === 0) return nothingOwned;
  const isFirst = owned.entries.size === 0 && owned.aside.size === 0;
  const untouched = isUntouched ? owned.original : null;
  const original =
    isFirst && existing
      ? await keepOriginal(path, existing, stateDirectory, ownership.digestBytes(existing.bytes))
      : untouched;
  const missing = await missingDirectories(dirname(file));
  return {
    created: merge.created,
    directories: [
      ...new Set([
        ...owned.directories,
        ...missing.map(directory => directory.slice(join(hostRoot, '/').length - 1)),
      ]),
    ],
    original,
    wrote: merge.text === undefined ? [] : [ownership.digestBytes(merge.text)],
    entries: merge.entries,
    aside: merge.aside,
  };
}

/** What is recorded between two states of a file: whichever of them it is in, what is ours is known. */
function both(before: OwnedTarget, after: OwnedTarget): OwnedTarget {
  const entries = new Map(before.entries);
  for (const [registry, entry] of after.entries) {
    const digests = new Set([...(before.entries.get(registry)?.digests ?? []), ...entry.digests]);
    entries.set(registry, { ...entry, digests: [...digests] });
  }
  return {
    created: before.created || after.created,
    directories: [...new Set([...before.directories, ...after.directories])],
    // Once somebody else has written, the original must not come back over that, whenever we are killed.
    original: after === nothingOwned ? before.original : after.original,
    wrote: [...new Set([...before.wrote, ...after.wrote])],
    entries,
    aside: new Map([...before.aside, ...after.aside]),
  };
}

/** The file is no longer the one that was read. */
class ChangedMeanwhile extends Error {}

/** How often a file that others change at the same time is merged anew before that is reported. */
const maxRounds = 5;

/** What there is to say of a target that was not looked into. */
export function nothingFound(path: string) {
  const none = { managed: 0, foreign: 0, displaced: [], setAside: [] };
  return { path, ...none, written: false, drifted: false, text: undefined };
}

function describe(path: string, look: Look) {
  const { owned, merge } = look;
  const kept = [...merge.aside.keys()];
  return {
    path,
    managed: merge.entries.size,
    foreign: merge.foreign.length,
    displaced: kept.filter(registry => merge.entries.has(registry)),
    setAside: kept.filter(registry => !merge.entries.has(registry)),
    written: false,
    drifted: owned.entries.size > 0 && isWriteNeeded({}, look) && isChangedByOthers(look),
    text: merge.text,
  };
}

/** Which entries make the reader of the file at `path` drop it. Docker's file may be read by a kubelet, too. */
function voidingFor(path: string): (rawValue: string) => boolean {
  if (readerOf(path) === 'kubelet') return isVoidingForKubelet;
  return rawValue => isVoidingForKubelet(rawValue) || isVoidingForDocker(rawValue);
}

/** Whatever still voids a file is somebody else's, and no entry. */
function findVoid(path: string, { text, entries }: MergeResult): Pick<TargetOutcome, 'state' | 'problem'> {
  if (text === undefined || entries.size === 0) return { state: 'current', problem: null };
  const isKubelets = readerOf(path) === 'kubelet';
  const reading = isKubelets ? readAsKubelet(text, formOf(path)) : readAsDocker(text);
  if (reading.valid) return { state: 'current', problem: null };
  const who = isKubelets ? 'the kubelet' : 'docker';
  const problem = `${path} is dropped by ${who} as a whole: ${reading.problem}; mend or remove what somebody else wrote there`;
  return { state: 'failed', problem };
}

/** Removes the directories that we made, from the innermost out, as far as nobody has put anything into them. */
async function removeDirectories(directories: readonly string[], hostRoot: string): Promise<void> {
  for (const directory of directories.toReversed()) {
    try {
      await rmdir(join(hostRoot, directory));
    } catch (error) {
      if (!noLongerOurs.has(codeOf(error) ?? '')) throw error;
    }
  }
}

/** How the removal of a directory fails that others filled, removed, replaced or mounted something on. */
const noLongerOurs: ReadonlySet<string> = new Set(['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR', 'EBUSY']);
