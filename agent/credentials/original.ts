import { createHash, randomBytes } from 'node:crypto';
import { lstat, readdir, rename, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { readFileBytes } from '../base/read-text-file.ts';
import { missingIsUndefined } from '../base/real-path.ts';
import {
  type ReplaceOptions,
  removeFile,
  removeLeftoversIn,
  replaceByLink,
  replaceFile,
} from '../base/replace-file.ts';
import type { ExistingFile } from './target-file.ts';

/** How the file that was there before ours is recorded. */
export const originalFile = z.object({
  /** The name of its copy; null for a symbolic link and a directory. */
  copy: z.string().nullable(),
  /** Where it led, if it was a symbolic link. */
  link: z.string().nullable(),
  /** The name that it has now, if it was a directory: that is moved aside. */
  directory: z.string().nullable(),
  /** The keyed digest of its bytes. */
  digest: z.string(),
  mode: z.number().int(),
  uid: z.number().int(),
  gid: z.number().int(),
});

/** The file that was there before ours, to be put back as it was when ours goes. */
export type OriginalFile = Readonly<z.infer<typeof originalFile>>;

/** Where the copies of the files that were there before ours lie, in the state directory. */
const originals = 'originals';

/** Where those of files that were no docker configs lie, for whoever misses them. */
const replaced = 'replaced';

/** Keeps what is at a target, to the byte, before ours takes its place for the first time; `digest` is its keyed digest. */
export async function keepOriginal(
  path: string,
  existing: ExistingFile,
  stateDirectory: string,
  digest: string,
): Promise<OriginalFile> {
  const { bytes, link, isDirectory, mode, uid, gid } = existing;
  if (isDirectory) return { copy: null, link, directory: nameAside(path), digest: '', mode, uid, gid };
  // What a link leads to stays where it is; only the link has to be made again.
  const copy = link === null ? nameOfCopy(path, digest) : null;
  if (copy !== null) await replaceFile(join(stateDirectory, originals, copy), bytes);
  return { copy, link, directory: null, digest, mode, uid, gid };
}

/** A name beside `path` for a directory that stands in the place of the file. */
export function nameAside(path: string): string {
  return `${basename(path)}.directory-${randomBytes(3).toString('hex')}`;
}

/** The name of a copy of the file at `path`; another content has another name. */
function nameOfCopy(path: string, digest: string): string {
  return `${path.slice(1).replaceAll('/', '_')}-${digest.slice(0, 12)}`;
}

/**
 * Puts back what was at `file` before ours, with its permissions and owner. Throws the file system's error, and then
 * nothing has changed. Returns what could not be restored, in a sentence, if it was not all.
 */
export async function restoreOriginal(
  file: string,
  original: OriginalFile,
  stateDirectory: string,
  options: ReplaceOptions,
): Promise<string | null> {
  const { copy, link, directory, mode, uid, gid } = original;
  if (directory !== null) {
    await options.beforeRename?.();
    await removeFile(file);
    await rename(join(dirname(file), directory), file);
    return null;
  }
  if (link !== null) {
    await replaceByLink(file, link, options);
    return null;
  }
  const bytes = await readFileBytes(join(stateDirectory, originals, copy ?? ''));
  await replaceFile(file, bytes, { ...options, mode, owner: { uid, gid } });
  const now = await lstat(file).catch(missingIsUndefined);
  if (!now || (now.uid === uid && now.gid === gid)) return null;
  return `it is as it was, but belongs to root now; give it back with chown ${uid}:${gid}`;
}

/** Whether what is needed to put the file back is there, and is what it was: somebody may have removed or changed it. */
export async function isRestorable(
  file: string,
  { copy, directory, digest }: OriginalFile,
  stateDirectory: string,
  digestOf: (bytes: Buffer) => string,
): Promise<boolean> {
  if (directory !== null)
    return (await lstat(join(dirname(file), directory)).catch(missingIsUndefined)) !== undefined;
  if (copy === null) return true;
  const bytes = await readFileBytes(join(stateDirectory, originals, copy)).catch(missingIsUndefined);
  return bytes !== undefined && digestOf(bytes) === digest;
}

/** So many copies of files that were no docker configs are kept of one target, the newest ones. */
const maxReplaced = 20;

/** Keeps what was in a file that is no docker config, to the byte, before it is replaced: nothing is lost. */
export async function keepCopy(path: string, bytes: Buffer, stateDirectory: string): Promise<void> {
  const digest = createHash('sha256').update(bytes).digest('hex');
  const directory = join(stateDirectory, replaced);
  await replaceFile(join(directory, nameOfCopy(path, digest)), bytes);
  const names = (await readdir(directory)).filter(name => name.startsWith(nameOfCopy(path, '')));
  if (names.length <= maxReplaced) return;
  const copies = await Promise.all(
    names.map(async name => ({ name, at: (await lstat(join(directory, name))).mtimeMs })),
  );
  for (const { name } of copies.toSorted((a, b) => b.at - a.at).slice(maxReplaced))
    await removeFile(join(directory, name));
}

/** Removes the copies that no target needs any more, and those begun by a killed agent; best effort. */
export async function removeUnusedCopies(stateDirectory: string, used: ReadonlySet<string>): Promise<void> {
  await removeLeftoversIn(join(stateDirectory, replaced));
  const directory = join(stateDirectory, originals);
  const names = await readdir(directory).catch(() => []);
  for (const name of names.filter(candidate => !used.has(candidate)))
    await removeFile(join(directory, name)).catch(() => undefined);
  await rmdir(directory).catch(() => {
    // Not empty, or never made.
  });
}
