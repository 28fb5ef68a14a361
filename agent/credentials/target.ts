import { isUtf8 } from 'node:buffer';
import { rename, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../base/failure.ts';
import { fileFailure } from '../base/file-failure.ts';
import { missingDirectories } from '../base/real-path.ts';
import { removeFile, removeLeftovers, replaceFile } from '../base/replace-file.ts';
import type { Entry } from './entry.ts';
import {
  isRestorable,
  keepCopy,
  keepOriginal,
  nameAside,
  removeUnusedCopies,
  restoreOriginal,
} from './original.ts';
import { nothingOwned, type OwnedTarget } from './ownership-record.ts';
import { type PlannedEntry, planEntries } from './planned-entry.ts';
import { type ExistingFile, findRefusal, identityOf, isYoung } from './target-file.ts';
import {
  describe,
  findVoid,
  isInDoubt,
  isWriteNeeded,
  type Look,
  lookAt,
  nothingFound,
  type TargetOutcome,
  type TargetPlace,
} from './target-look.ts';

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
