import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startProgram } from '../test/sandbox/program.ts';
import type { SandboxNode } from '../test/sandbox/sandbox-node.ts';
import { login } from './warm-node.ts';

/** Pulls images as a script would, so many at a time, by one `ctr images pull` for each. */
export async function pullWithCtr(
  node: SandboxNode,
  references: readonly string[],
  concurrency: number,
): Promise<void> {
  const list = join(node.directory, 'references');
  await writeFile(list, references.join('\n'));
  const pull = ['ctr', '--address', node.runtime.socket, '--namespace', 'k8s.io', 'images', 'pull'];
  const flags = ['--plain-http', '--user', login, '--snapshotter', await snapshotterOf(node)];
  const xargs = ['xargs', '-a', list, '-P', String(concurrency), '-n', '1'] as const;
  const logFile = join(node.directory, 'log/ctr.log');
  const program = await startProgram({
    name: 'xargs',
    command: [...xargs, ...pull, ...flags],
    directory: node.directory,
    logFile,
  });
  const ended = await program.ended;
  if (ended !== 'exit status 0')
    throw new Error(`a pull by ctr failed (${ended}): ${(await readFile(logFile, 'utf8')).slice(-2_000)}`);
}

/** The one that containerd's CRI part unpacks to, so that both do the same work. */
async function snapshotterOf({ hostRoot }: SandboxNode): Promise<string> {
  const config = await readFile(join(hostRoot, 'etc/containerd/config.toml'), 'utf8');
  const [, name] = /snapshotter = "([a-z]+)"/.exec(config) ?? [];
  if (name === undefined) throw new Error(`the config of containerd names no snapshotter: ${config}`);
  return name;
}
