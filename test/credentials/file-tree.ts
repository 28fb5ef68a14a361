import {
  chmod,
  lchown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';

/** What one name in a directory stands for; `content` is that of a file (Latin-1: to the byte) or where a link leads. */
type TreeItem = {
  readonly kind: 'directory' | 'file' | 'link';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly content: string;
};

/** A directory with all that is in it, by paths relative to it: what counts of it, so without its times. */
export type FileTree = Readonly<Record<string, TreeItem>>;

/** Reads all that is in `directory`. */
export async function readTree(directory: string, within = ''): Promise<FileTree> {
  const items: Record<string, TreeItem> = {};
  for (const name of (await readdir(join(directory, within))).toSorted()) {
    const path = join(within, name);
    const item = await readItem(join(directory, path));
    items[path] = item;
    if (item.kind === 'directory') Object.assign(items, await readTree(directory, path));
  }
  return items;
}

/** Makes `directory` hold this tree and nothing else. Its files look as if nobody had touched them for long. */
export async function writeTree(directory: string, tree: FileTree): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  for (const [name, { kind, mode, uid, gid, content }] of Object.entries(tree)) {
    const path = join(directory, name);
    if (kind === 'link') await symlink(content, path);
    else if (kind === 'directory') await mkdir(path);
    else await writeFile(path, content, 'latin1');
    await lchown(path, uid, gid);
    if (kind !== 'link') await chmod(path, mode);
    if (kind === 'file') await utimes(path, 0, 0);
  }
}

async function readItem(path: string): Promise<TreeItem> {
  const stats = await lstat(path);
  const owner = { mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid };
  if (stats.isSymbolicLink()) return { kind: 'link', ...owner, content: await readlink(path) };
  if (stats.isDirectory()) return { kind: 'directory', ...owner, content: '' };
  return { kind: 'file', ...owner, content: await readFile(path, 'latin1') };
}
