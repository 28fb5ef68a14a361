import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, symlink, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf } from './failure.ts';

const infix = '.pullready-';

/** The name of a temporary file, with the name of what it is to replace. */
const temporaryName = /^\.(.+)\.pullready-[0-9a-f]{12}$/;

/** How a file is replaced. */
export type ReplaceOptions = {
  /** Called as late as possible; if it throws, nothing is replaced. */
  readonly beforeRename?: () => Promise<void>;
  /** The permissions; 0600 if not given. */
  readonly mode?: number;
  /** Whose it is to be; it is ours if not given, or if we may not give it away. */
  readonly owner?: { readonly uid: number; readonly gid: number };
};

/**
 * Replaces the file at `path` by one with `content` (mode 0600, owned by whoever we are), whole or not at all: at no
 * instant is there a torn or readable file at `path`, also if the process is killed or the disk is full. A missing
 * directory is created with mode 0700. Throws the file system's error and then leaves nothing behind (but the new file,
 * if only its name could not be made durable); a temporary file left by a killed process is removed by `removeLeftovers`.
 */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  { beforeRename, mode = 0o600, owner }: ReplaceOptions = {},
): Promise<void> {
  await replaceBy(path, beforeRename, async temporary => {
    // Exclusive, so that a planted file or symbolic link of that name is an error and never written through.
    const file = await open(temporary, 'wx', 0o600);
    try {
      if (owner) await giveAway(file, owner);
      // The mode again: the umask takes bits from the one given to open, and a new owner others.
      await file.chmod(mode);
      // All bytes, durable before the name points to them.
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  });
}

async function giveAway(file: FileHandle, { uid, gid }: NonNullable<ReplaceOptions['owner']>): Promise<void> {
  try {
    await file.chown(uid, gid);
  } catch (error) {
    // It takes a capability, which an agent in a pod need not have, and an owner who exists in its user namespace.
    if (!['EPERM', 'EINVAL'].includes(codeOf(error) ?? '')) throw error;
  }
}

/** Replaces what is at `path` by a symbolic link to `destination`, in the same way. */
export async function replaceByLink(
  path: string,
  destination: string,
  { beforeRename }: ReplaceOptions = {},
): Promise<void> {
  await replaceBy(path, beforeRename, temporary => symlink(destination, temporary));
}

async function replaceBy(
  path: string,
  beforeRename: ReplaceOptions['beforeRename'],
  make: (temporary: string) => Promise<void>,
): Promise<void> {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // 1. Beside the target, because a rename must not cross file systems.
  const temporary = join(directory, `.${basename(path)}${infix}${randomBytes(6).toString('hex')}`);
  try {
    // 2. The new one, whole and durable.
    await make(temporary);
    // 3. The old one or the new one: a reader never sees anything else.
    await beforeRename?.();
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {
      // It may never have been made; the first error is the one to tell.
    });
    throw error;
  }
  // 4. The new name is durable too.
  await syncDirectory(directory);
}

/** Removes the file at `path`, durably. A file that is not there is no error. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Removes what a process that was killed in the middle of `replaceFile(path)` left beside `path`; best effort. */
export async function removeLeftovers(path: string): Promise<void> {
  await removeTemporaries(dirname(path), basename(path));
}

/** Removes what killed processes left of any file in a directory that is ours alone; best effort. */
export async function removeLeftoversIn(directory: string): Promise<void> {
  await removeTemporaries(directory);
}

async function removeTemporaries(directory: string, of?: string): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names) {
    const [, replaced] = temporaryName.exec(name) ?? [];
    if (replaced === undefined || (of !== undefined && replaced !== of)) continue;
    await unlink(join(directory, name)).catch(() => {
      // Gone already, or a directory that somebody gave such a name: no reason not to go on.
    });
  }
}

async function syncDirectory(directory: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(directory, 'r');
    await handle.sync();
  } finally {
    await handle?.close();
  }
}
