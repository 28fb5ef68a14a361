import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { cleanUp } from './cleanup.ts';
import { dieWithStarter, type Program, startProgram, waitUntilReady } from './program.ts';
import { temporaryDirectory } from './temporary.ts';
import { waitUntil } from './wait-until.ts';

const options = { timeout: 15_000 };

test('a program that ignores SIGTERM is killed when its time is up', options, async t => {
  const program = await startShell(t, 'trap "" TERM; echo ready; while :; do sleep 0.1; done');
  await logged(program, 'ready');
  await program.stop(200);
  assert.equal(await program.ended, 'SIGKILL');
  assert.equal(program.isRunning(), false);
});

test('a frozen program is stopped, too', options, async t => {
  const program = await startShell(t, 'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done');
  await logged(program, 'ready');
  program.kill('SIGSTOP');
  await program.stop();
  assert.equal(await program.ended, 'exit status 7');
});

test('a program that ends before it is ready is reported with the end of its log', options, async t => {
  const program = await startShell(t, 'echo "the port is taken" >&2; exit 3');
  await assert.rejects(
    waitUntilReady(program, async () => false),
    ({ message, cause }: Error) =>
      message.includes('the port is taken') && String(cause).includes('exit status 3'),
  );
});

test('a program that cannot be started says which', options, async t => {
  const directory = join(await temporaryDirectory(t), 'missing');
  const program = startProgram({ name: 'thing', command: ['true'], directory, logFile: `${directory}.log` });
  await assert.rejects(program, /cannot start thing \(true\)/);
});

test('a program whose starter is not its parent any more does not go on', options, async () => {
  // The shell in between is what adopts the program of a starter that has died.
  const command = [...dieWithStarter('KILL'), 'echo', 'it went on'];
  const { stdout } = await promisify(execFile)('sh', ['-c', '"$@"; echo "status $?"', 'sh', ...command]);
  assert.equal(stdout, 'status 1\n');
});

async function startShell(t: TestContext, script: string): Promise<Program> {
  let program: Program | undefined;
  const directory = await temporaryDirectory(t);
  cleanUp(t, () => program?.kill('SIGKILL'));
  const logFile = join(directory, 'log');
  program = await startProgram({ name: 'script', command: ['sh', '-c', script], directory, logFile });
  return program;
}

async function logged(program: Program, text: string): Promise<void> {
  await waitUntil(async () => (await readFile(program.logFile, 'utf8')).includes(text), {
    what: `${text} in the log`,
    timeoutMs: 5000,
  });
}
