import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, realpath, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Lays out what stands in for the base of the shipped stage: Node.js with what it links to, and nothing else. */
export async function layOutFinalBase(root: string): Promise<void> {
  await copyProgram(process.execPath, '/nodejs/bin/node', root);
}

/** Lays out what stands in for the base of the build stage: this machine's Node.js, npm and shell. */
export async function layOutBuildBase(root: string): Promise<void> {
  await copyProgram(process.execPath, '/usr/local/bin/node', root);
  for (const program of ['/bin/sh', '/usr/bin/env']) await copyProgram(program, program, root);

  const cli = await realpath((await run('which', ['npm'])).stdout.trim());
  const npm = dirname(dirname(cli));
  const modules = dirname(npm);
  if (basename(modules) === 'node_modules') await copy([npm], root);
  else {
    // Debian's npm finds its dependencies beside itself, but only with Debian's Node.js.
    await copy([modules], root);
    await symlink('.', join(root, modules, 'node_modules'));
  }
  const command = join(root, 'usr/local/bin/npm');
  await writeFile(command, `#!/bin/sh\nexec node ${cli} "$@"\n`);
  await chmod(command, 0o755);
}

/** Copies a program to a path below another root, and the libraries that it links to. */
async function copyProgram(program: string, path: string, root: string): Promise<void> {
  await mkdir(join(root, dirname(path)), { recursive: true });
  await copyFile(program, join(root, path));
  const { stdout } = await run('ldd', [program]);
  const libraries = [...stdout.matchAll(/(?:^\s+|=> )(\/\S+) \(0x/gm)].map(([, library = '']) => library);
  await copy(libraries, root, '--dereference');
}

/** Copies files and directories to the same paths below another root; `--dereference` copies what links point at. */
async function copy(
  paths: readonly string[],
  root: string,
  links: '--dereference' | '--no-dereference' = '--no-dereference',
): Promise<void> {
  await run('cp', ['--recursive', links, '--parents', '--target-directory', root, ...paths]);
}
