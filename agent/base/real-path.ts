import { lstat, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from './failure.ts';

/** Where `directory` really is; if it is not there, the nearest one above it, for it will be made in that. */
export async function nearestDirectory(directory: string): Promise<string> {
  const real = await realpath(directory).catch(missingIsUndefined);
  return real ?? nearestDirectory(dirname(directory));
}

/** Whether `path` is `directory` or lies below it; both as `realpath` gives them. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(join(directory, '/'));
}

/** The directories on the way to `directory` that are missing, from the outermost in. */
export async function missingDirectories(directory: string): Promise<readonly string[]> {
  const stats = await lstat(directory).catch(missingIsUndefined);
  return stats || directory === dirname(directory)
    ? []
    : [...(await missingDirectories(dirname(directory))), directory];
}

/** For a promise of the file system: what is missing is undefined, any other error is one. */
export function missingIsUndefined(error: unknown): undefined {
  if (codeOf(error) === 'ENOENT') return undefined;
  throw error;
}
