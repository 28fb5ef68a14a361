import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startProgram } from '../test/sandbox/program.ts';
import { loginOf, type WarmNode } from './warm-node.ts';

/** Of all pulls together. */
const timeoutSeconds = 120;

/** Pulls images as a script would, so many at a time, by one process for each. */
export async function pullWithScript(
  node: WarmNode,
  references: readonly string[],
  concurrency: number,
): Promise<void> {
  const { runtime, directory } = node;
  const list = join(directory, 'references');
  await writeFile(list, references.join('\n'));
  const pull = await runtime.pullCommand(loginOf(node));
  const xargs = ['xargs', '-a', list, '-P', String(concurrency), '-n', '1'];
  const logFile = join(directory, 'log/script.log');
  const program = await startProgram({
    name: 'xargs',
    // When the time is up it ends the pulls as well, which xargs would leave behind.
    command: ['timeout', '--kill-after=5', String(timeoutSeconds), ...xargs, ...pull],
    directory,
    logFile,
  });
  const ended = await program.ended;
  if (ended !== 'exit status 0')
    throw new Error(
      `a pull by ${runtime.script} failed (${ended}): ${(await readFile(logFile, 'utf8')).slice(-2_000)}`,
    );
}
