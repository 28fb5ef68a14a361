import { createHash } from 'node:crypto';
import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf, Failure } from '../base/failure.ts';
import { fileFailure } from '../base/file-failure.ts';
import { readTextFile } from '../base/read-text-file.ts';
import { removeFile, removeLeftovers, replaceFile } from '../base/replace-file.ts';
import { type DockerConfigText, parseDockerConfigText } from './docker-config-text.ts';
import type { Entry } from './entry.ts';
import { mergeDockerConfig } from './merge.ts';
import type { Ownership } from './ownership.ts';

/** How a target stands after a look at it. */
export type TargetOutcome = {
  /** The path on the node. */
  readonly path: string;
  readonly state: 'current' | 'failed' | 'refused';
  /** How many entries of the file are ours, and how many are somebody else's. */
  readonly managed: number;
  readonly foreign: number;
  /** The registry keys whose foreign entries ours stand in for. */
  readonly displaced: readonly string[];
  readonly problem: string | null;
  /** This look changed the file. */
  readonly written: boolean;
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
  readonly ownership: Ownership;
};

/**
 * Makes one docker config file on the node say what `entries` say, beside what others have in it, and returns how that
 * went; never throws. A file that already says it is not written.
 */
export async function reconcileTarget(place: TargetPlace, entries: readonly Entry[]): Promise<TargetOutcome> {
  const nothing = {
    path: place.path,
    managed: 0,
    foreign: 0,
    displaced: [],
    written: false,
    text: undefined,
  };
  const file = join(place.hostRoot, place.path);
  try {
    const refusal = await findRefusal(file, place.hostRoot);
    if (refusal !== undefined) return { ...nothing, state: 'refused', problem: refusal };
    return await mergeInto(file, place, entries);
  } catch (error) {
    return { ...nothing, state: 'failed', problem: fileFailure(`updating ${place.path}`, error).message };
  }
}

async function mergeInto(
  file: string,
  place: TargetPlace,
  entries: readonly Entry[],
): Promise<TargetOutcome> {
  const { path, ownership } = place;
  await removeLeftovers(file);
  const existing = await readExisting(file);
  const owned = ownership.of(path);
  const merge = mergeDockerConfig({ existing, entries, owned, digest: value => ownership.digest(value) });
  const outcome = {
    path,
    managed: merge.settled.entries.size,
    foreign: merge.foreign.length,
    displaced: merge.displaced,
  };
  const unchanged = merge.text === existing?.text && (entries.length === 0 || (await isPrivate(file)));
  try {
    if (!unchanged) {
      // 1. What is ours is recorded first: after a kill at any point both the old and the new value are known as ours.
      await ownership.record(path, merge.entering);
      if (existing !== undefined && existing.config === undefined) await keepCopy(existing.text, place);
      // 2. The file, whole or not at all.
      if (merge.text === undefined) await removeFile(file);
      else await replaceFile(file, merge.text);
    }
    // 3. The old values are no longer ours.
    await ownership.record(path, merge.settled);
    return { ...outcome, state: 'current', problem: null, written: !unchanged, text: merge.text };
  } catch (error) {
    const { message } = fileFailure(`writing ${path}`, error);
    return { ...outcome, managed: 0, state: 'failed', problem: message, written: false, text: merge.text };
  }
}

async function readExisting(
  file: string,
): Promise<{ text: string; config: DockerConfigText | undefined } | undefined> {
  try {
    const text = await readTextFile(file);
    return { text, config: parseDockerConfigText(text) };
  } catch (error) {
    return missingIsUndefined(error);
  }
}

/** Keeps what was in a file that is no docker config, before it is replaced: nothing is lost. */
async function keepCopy(text: string, { path, stateDirectory }: TargetPlace): Promise<void> {
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 12);
  await replaceFile(
    join(stateDirectory, 'replaced', `${path.slice(1).replaceAll('/', '_')}-${digest}`),
    text,
  );
}

/** Why the file must not be touched, if so: it, or its directory, is a link that leads out of where it should be. */
async function findRefusal(file: string, hostRoot: string): Promise<string | undefined> {
  const directory = await realpath(dirname(file)).catch(missingIsUndefined);
  const root = await realpath(hostRoot).catch(missingIsUndefined);
  if (root === undefined) {
    const tried = `looking for the node's root at ${hostRoot}`;
    throw new Failure({ tried, problem: 'it does not exist', advice: 'mount it there or set --host-root' });
  }
  if (directory === undefined) return undefined;
  if (directory !== root && !directory.startsWith(join(root, '/'))) {
    return `its directory is a symbolic link that leads out of the node's root as mounted here; mount the real directory`;
  }
  const stats = await lstat(file).catch(missingIsUndefined);
  if (!stats?.isSymbolicLink()) return undefined;
  const leadsTo = await realpath(file).catch(missingIsUndefined);
  if (leadsTo === join(directory, basename(leadsTo ?? ''))) return undefined;
  return 'it is a symbolic link that leads out of its directory; replace the link by a file, or remove it';
}

async function isPrivate(file: string): Promise<boolean> {
  const stats = await lstat(file).catch(missingIsUndefined);
  return (
    stats === undefined ||
    (stats.isFile() && (stats.mode & 0o777) === 0o600 && stats.uid === process.getuid?.())
  );
}

function missingIsUndefined(error: unknown): undefined {
  if (codeOf(error) === 'ENOENT') return undefined;
  throw error;
}

/** When the file was last changed, as the file system says; undefined if there is none. */
export async function changedAt(file: string): Promise<Date | undefined> {
  return stat(file).then(
    stats => stats.mtime,
    () => undefined,
  );
}
