import { join } from 'node:path';
import { isVoidingForDocker, readAsDocker } from '../docker-config/docker-cli-reading.ts';
import { isVoidingForKubelet, readAsKubelet } from '../docker-config/kubelet-reading.ts';
import { withoutOurs } from './broken-text.ts';
import { type MergeResult, mergeDockerConfig } from './merge.ts';
import { isRestorable } from './original.ts';
import type { Ownership } from './ownership.ts';
import type { OwnedTarget } from './ownership-record.ts';
import type { PlannedEntry } from './planned-entry.ts';
import { type ExistingFile, isPrivate, readExisting } from './target-file.ts';
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

/** A target and what it should come to. */
export type Look = {
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

/** Reads a target and merges what it should say into what it says; touches nothing. Throws the file system's error. */
export async function lookAt(place: TargetPlace, entries: readonly PlannedEntry[]): Promise<Look> {
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
export function isInDoubt({ existing, owned, merge, isUntouched }: Look): boolean {
  if (existing === undefined || existing.config !== undefined || existing.isDirectory || isUntouched)
    return false;
  return merge.text !== existing.text || owned.entries.size > 0;
}

/** In what it says; or, if that is what we wrote, in who may read it. */
function isChangedByOthers({ existing, isUntouched, isWritten }: Look): boolean {
  return !isUntouched || (isWritten && existing !== undefined && !isPrivate(existing));
}

/** Whether the file is not as it should be, in what it says or who may read it. */
export function isWriteNeeded(
  { rewrite = false }: Pick<TargetPlace, 'rewrite'>,
  { existing, merge, isUntouched, rest }: Look,
): boolean {
  if (merge.text !== existing?.text) return true;
  // Nothing there, and untouched: a directory is still aside.
  if (merge.entries.size === 0) return rest !== undefined || (existing === undefined && isUntouched);
  return rewrite || existing === undefined || !isPrivate(existing);
}

/** What there is to say of a target that was not looked into. */
export function nothingFound(path: string) {
  const none = { managed: 0, foreign: 0, displaced: [], setAside: [] };
  return { path, ...none, written: false, drifted: false, text: undefined };
}

/** What there is to say of a target that was looked at, before anything is done to it. */
export function describe(path: string, look: Look) {
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

/** How the file stands with its reader. Whatever still voids it is somebody else's, and no entry. */
export function findVoid(
  path: string,
  { text, entries }: MergeResult,
): Pick<TargetOutcome, 'state' | 'problem'> {
  if (text === undefined || entries.size === 0) return { state: 'current', problem: null };
  const isKubelets = readerOf(path) === 'kubelet';
  const reading = isKubelets ? readAsKubelet(text, formOf(path)) : readAsDocker(text);
  if (reading.valid) return { state: 'current', problem: null };
  const who = isKubelets ? 'the kubelet' : 'docker';
  const problem = `${path} is dropped by ${who} as a whole: ${reading.problem}; mend or remove what somebody else wrote there`;
  return { state: 'failed', problem };
}
