import { createHash } from 'node:crypto';
import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf, Failure } from '../base/failure.ts';
import { fileFailure } from '../base/file-failure.ts';
import { readFileBytes } from '../base/read-text-file.ts';
import { removeFile, removeLeftovers, replaceFile } from '../base/replace-file.ts';
import { readEntryValue } from './docker-config.ts';
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
  readonly ownership: Pick<Ownership, 'of' | 'digest' | 'record'>;
};

/**
 * Makes one docker config file on the node say what `entries` say, beside what others have in it, and returns how that
 * went; never throws. A file that already says it is not written.
 */
export async function reconcileTarget(place: TargetPlace, entries: readonly Entry[]): Promise<TargetOutcome> {
  const nothing = nothingFound(place);
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
  await removeLeftovers(file);
  // Somebody who changes the file while we merge is merged again, not overwritten.
  for (let round = 1; ; round++) {
    const seen = await identityOf(file);
    const existing = await readExisting(file);
    const concerned = entries.length > 0 || place.ownership.of(place.path).entries.size > 0;
    if (concerned && existing && existing.config === undefined && (await isYoung(file))) {
      const problem = `${place.path} is no docker config (it may be in the middle of being written)`;
      return { ...nothingFound(place), state: 'failed', problem };
    }
    const unlessChanged = async () => {
      if ((await identityOf(file)) !== seen) throw new ChangedMeanwhile();
    };
    try {
      return await writeMerged(file, existing, place, entries, unlessChanged);
    } catch (error) {
      if (!(error instanceof ChangedMeanwhile) || round === maxRounds) throw error;
    }
  }
}

async function writeMerged(
  file: string,
  existing: ExistingFile | undefined,
  place: TargetPlace,
  entries: readonly Entry[],
  unlessChanged: () => Promise<void>,
): Promise<TargetOutcome> {
  const { path, ownership } = place;
  const owned = ownership.of(path);
  const merge = mergeDockerConfig({ existing, entries, owned, digest: value => ownership.digest(value) });
  const { settled, foreign, displaced, text } = merge;
  const outcome = { path, managed: settled.entries.size, foreign: foreign.length, displaced, text };
  const unchanged = text === existing?.text && (entries.length === 0 || (await isPrivate(file)));
  try {
    if (!unchanged) {
      // 1. What is ours is recorded first: after a kill at any point both the old and the new value are known as ours.
      await ownership.record(path, merge.entering);
      if (existing !== undefined && existing.config === undefined) await keepCopy(existing.bytes, place);
      // 2. The file, whole or not at all, and only if it still is what was merged.
      if (text === undefined) await unlessChanged().then(() => removeFile(file));
      else await replaceFile(file, text, unlessChanged);
    }
    // 3. The old values are no longer ours.
    await ownership.record(path, settled);
    const problem = settled.entries.size > 0 ? findVoidingEntry(text, path) : null;
    return { ...outcome, state: problem ? 'failed' : 'current', problem, written: !unchanged };
  } catch (error) {
    if (error instanceof ChangedMeanwhile) throw error;
    const { message } = fileFailure(`writing ${path}`, error);
    return { ...outcome, managed: 0, state: 'failed', problem: message, written: false };
  }
}

/** The file is no longer the one that was read. */
class ChangedMeanwhile extends Error {
  override readonly message = 'somebody else keeps changing it';
}

/** How often a file that others change at the same time is merged anew before that is reported. */
const maxRounds = 5;

/** A file that is no docker config is left alone for so long, in milliseconds: others write theirs in several steps. */
const youngMilliseconds = 500;

type ExistingFile = {
  readonly bytes: Buffer;
  readonly text: string;
  readonly config: DockerConfigText | undefined;
};

function nothingFound({ path }: TargetPlace) {
  return { path, managed: 0, foreign: 0, displaced: [], written: false, text: undefined };
}

/** One bad entry voids the whole file for the kubelet; none of ours is bad, so it is somebody else's. */
function findVoidingEntry(text: string | undefined, path: string): string | null {
  const entries = text === undefined ? [] : [...(parseDockerConfigText(text)?.entries ?? [])];
  const bad = entries.filter(([, value]) => readEntryValue(JSON.parse(value) ?? {}).kind === 'bad');
  if (bad.length === 0) return null;
  const names = bad.map(([registry]) => JSON.stringify(registry)).join(', ');
  return `${path} is dropped by the kubelet as a whole, because somebody else's entry ${names} is malformed; mend or remove it`;
}

/** What tells one state of a file from another; undefined if there is none. */
async function identityOf(file: string): Promise<string | undefined> {
  const stats = await lstat(file, { bigint: true }).catch(missingIsUndefined);
  return stats && [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join();
}

async function isYoung(file: string): Promise<boolean> {
  const age = Date.now() - ((await changedAt(file))?.getTime() ?? 0);
  // A time in the future is a clock that jumped, and no sign of youth.
  return age >= 0 && age < youngMilliseconds;
}

async function readExisting(file: string): Promise<ExistingFile | undefined> {
  try {
    const bytes = await readFileBytes(file);
    const text = bytes.toString('utf8');
    return { bytes, text, config: parseDockerConfigText(text) };
  } catch (error) {
    return missingIsUndefined(error);
  }
}

/** Keeps what was in a file that is no docker config, to the byte, before it is replaced: nothing is lost. */
async function keepCopy(bytes: Buffer, { path, stateDirectory }: TargetPlace): Promise<void> {
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
  await replaceFile(
    join(stateDirectory, 'replaced', `${path.slice(1).replaceAll('/', '_')}-${digest}`),
    bytes,
  );
}

/** Why the file must not be touched, if so: it, or its directory, is a link that leads out of where it should be. */
async function findRefusal(file: string, hostRoot: string): Promise<string | undefined> {
  const root = await realpath(hostRoot).catch(missingIsUndefined);
  if (root === undefined) {
    const tried = `looking for the node's root at ${hostRoot}`;
    throw new Failure({ tried, problem: 'it does not exist', advice: 'mount it there or set --host-root' });
  }
  const directory = await nearestDirectory(dirname(file));
  if (directory !== root && !directory.startsWith(join(root, '/'))) {
    return `its directory is a symbolic link that leads out of the node's root as mounted here; mount the real directory`;
  }
  const stats = await lstat(file).catch(missingIsUndefined);
  if (!stats?.isSymbolicLink()) return undefined;
  const leadsTo = await realpath(file).catch(missingIsUndefined);
  if (leadsTo === join(directory, basename(leadsTo ?? ''))) return undefined;
  return 'it is a symbolic link that leads out of its directory; replace the link by a file, or remove it';
}

/** Where `directory` really is; if it is not there, the nearest one above it, for it will be made in that. */
async function nearestDirectory(directory: string): Promise<string> {
  const real = await realpath(directory).catch(missingIsUndefined);
  return real ?? nearestDirectory(dirname(directory));
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
