import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const project = fileURLToPath(new URL('..', import.meta.url));

/** Bundles the agent into one file, as the image has it, in this directory; returns its path. */
export async function bundleAgent(directory: string): Promise<string> {
  const bundle = join(directory, 'pullready.mjs');
  await promisify(execFile)('npm', ['run', 'build', '--', `--outfile=${bundle}`], {
    cwd: project,
    timeout: 60_000,
  });
  return bundle;
}
