import { lstat, readlink, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Failure } from '../base/failure.ts';
import { readFileBytes } from '../base/read-text-file.ts';
import { isWithin, missingIsUndefined, nearestDirectory } from '../base/real-path.ts';
import {
  type DockerConfigForm,
  type DockerConfigText,
  parseDockerConfigText,
} from '../docker-config/docker-config-text.ts';
import { isManagedByOpenShift } from './openshift.ts';

/** A target file as it was found. */
export type ExistingFile = {
  readonly bytes: Buffer;
  readonly text: string;
  /** What it says; undefined if it is no docker config. */
  readonly config: DockerConfigText | undefined;
  /** Where it leads, if it is a symbolic link; what is read is what the link leads to. */
  readonly link: string | null;
  /** It is a directory, as docker makes one for a file that it was to mount and that is not there. */
  readonly isDirectory: boolean;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
};

/** Reads the file at `file`; undefined if there is none. Throws the file system's error or a Failure. */
export async function readExisting(file: string, form: DockerConfigForm): Promise<ExistingFile | undefined> {
  try {
    const stats = await lstat(file);
    const link = stats.isSymbolicLink() ? await readlink(file) : null;
    const isDirectory = stats.isDirectory();
    const bytes = isDirectory ? Buffer.alloc(0) : await readFileBytes(file);
    const text = bytes.toString('utf8');
    const config = parseDockerConfigText(text, form);
    const { mode, uid, gid } = stats;
    return { bytes, text, config, link, isDirectory, mode: mode & 0o7777, uid, gid };
  } catch (error) {
    return missingIsUndefined(error);
  }
}

/**
 * Why the file must not be touched, if so: links that lead out of where it should be, or another owner, to whose file
 * nothing `isAdded`; what was added before may be taken out.
 */
export async function findRefusal(
  hostRoot: string,
  path: string,
  isAdded: boolean,
): Promise<string | undefined> {
  const file = join(hostRoot, path);
  const root = await realpath(hostRoot).catch(missingIsUndefined);
  if (root === undefined) {
    const tried = `looking for the node's root at ${hostRoot}`;
    throw new Failure({ tried, problem: 'it does not exist', advice: 'mount it there or set --host-root' });
  }
  const directory = await nearestDirectory(dirname(file));
  if (!isWithin(directory, root))
    return `its directory is a symbolic link that leads out of the node's root as mounted here; mount the real directory`;
  if (isAdded && (await isManagedByOpenShift(hostRoot, path)))
    return (
      "it belongs to OpenShift's machine-config-operator, which degrades a node where it was changed; " +
      "put the credentials into the cluster's global pull secret, and take this file out of credentials.targets"
    );
  const stats = await lstat(file).catch(missingIsUndefined);
  if (!stats?.isSymbolicLink()) return undefined;
  const leadsTo = await realpath(file).catch(missingIsUndefined);
  if (leadsTo === undefined)
    return 'it is a symbolic link that leads nowhere; replace it by a file, or remove it';
  if (leadsTo === join(directory, basename(leadsTo))) return undefined;
  return 'it is a symbolic link that leads out of its directory; replace the link by a file, or remove it';
}

/** What tells one state of a file from another; undefined if there is none. */
export async function identityOf(file: string): Promise<string | undefined> {
  const stats = await lstat(file, { bigint: true }).catch(missingIsUndefined);
  return stats && [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join();
}

/** A file that is no docker config is left alone for so long, in milliseconds: others write theirs in several steps. */
const youngMilliseconds = 500;

/** Whether the file was changed just now. */
export async function isYoung(file: string): Promise<boolean> {
  const age = Date.now() - ((await changedAt(file))?.getTime() ?? 0);
  // A time in the future is a clock that jumped, and no sign of youth.
  return age >= 0 && age < youngMilliseconds;
}

/** Whether nobody but us may read it. */
export function isPrivate({ link, isDirectory, mode, uid }: ExistingFile): boolean {
  return link === null && !isDirectory && mode === 0o600 && uid === process.getuid?.();
}

/** When the file was last changed, as the file system says; undefined if there is none. */
export async function changedAt(file: string): Promise<Date | undefined> {
  return stat(file).then(
    stats => stats.mtime,
    () => undefined,
  );
}
