import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf } from './failure.ts';

const infix = '.pullready-';

/**
 * Replaces the file at `path` by one with `content` (mode 0600, owned by whoever we are), whole or not at all: at no
 * instant is there a torn or readable file at `path`, also if the process is killed or the disk is full. A missing
 * directory is created with mode 0700. `beforeRename` is called as late as possible; if it throws, nothing is replaced. Throws the file system's error and then leaves nothing behind (but the new file,
 * if only its name could not be made durable); a temporary file left by a killed process is removed by `removeLeftovers`.
 */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  beforeRename: () => Promise<void> = async () => {},
): Promise<void> {
  const directory = dirname(path);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const temporary = join(directory, `.${basename(path)}${infix}${randomBytes(6).toString('hex')}`);
  try {
    // 1. Beside the target, because a rename must not cross file systems; exclusive, so that a planted file or
    //    symbolic link of that name is an error and never written through.
    const file = await open(temporary, 'wx', 0o600);
    try {
      // 2. The mode again: the umask takes bits from the one given to open.
      await file.chmod(0o600);
      // 3. All bytes, durable before the name points to them.
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    // 4. The old file or the new one: a reader never sees anything else.
    await beforeRename();
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {
      // It may never have been made; the first error is the one to tell.
    });
    throw error;
  }
  // 5. The new name is durable too.
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
  const prefix = `.${basename(path)}${infix}`;
  const names = await readdir(dirname(path)).catch(() => []);
  for (const name of names) {
    if (!name.startsWith(prefix) || !/^[0-9a-f]{12}$/.test(name.slice(prefix.length))) continue;
    await unlink(join(dirname(path), name)).catch(() => {
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
