import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Failure } from './failure.ts';

/** More than any Secret (1 MiB) or config of ours can hold; a larger file is a mistake or an attack on our memory. */
const maxBytes = 8 * 2 ** 20;

/** Reads a text file as UTF-8; see `readFileBytes`. */
export async function readTextFile(path: string, limit?: number): Promise<string> {
  return (await readFileBytes(path, limit)).toString('utf8');
}

/**
 * Reads a file. Anything but a regular file is refused without waiting for it (a named pipe would block for
 * ever), and so is one of more than `limit` bytes (8 MiB). Throws the file system's error or a Failure.
 */
export async function readFileBytes(path: string, limit = maxBytes): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    if (stats.isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' });
    const tried = `reading ${path}`;
    if (!stats.isFile())
      throw new Failure({ tried, problem: 'it is no regular file', advice: 'put a file there' });
    if (stats.size > limit) {
      throw new Failure({
        tried,
        problem: `it has ${stats.size} bytes`,
        advice: `make it smaller than ${limit}`,
      });
    }
    return await file.readFile();
  } finally {
    await file.close();
  }
}
