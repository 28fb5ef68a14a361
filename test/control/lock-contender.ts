/**
 * A process that wants the node lock, for the tests: `lock-contender.ts MODE STATE_DIR [JOURNAL [remove]]`. It says on
 * stdout what happens: `waiting`, `problem: ...`, `held`.
 *
 * - hold: waits for the lock and keeps it until it is ended.
 * - serve: the same, and listens on the control socket meanwhile, as the agent does.
 * - forget: takes the lock, drops what it got and collects the garbage; then stays.
 * - contend: takes the lock and frees it (with `remove`, removes its file before), again and again, until it is ended.
 *   While it holds the lock, the file JOURNAL.holder names it; each hold, and each look that found another's name there
 *   meanwhile, is a line of JOURNAL.
 */
import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { codeOf, Failure } from '../../agent/base/failure.ts';
import { controlSocketPath, tryNodeLock, waitForNodeLock } from '../../agent/control/node-lock.ts';

const [mode, stateDirectory = '', journal = '', end] = process.argv.slice(2);

if (mode === 'contend') await contend(journal, end === 'remove');
else if (mode === 'forget') await forget();
else await hold();

async function hold(): Promise<void> {
  await waitForNodeLock({
    stateDirectory,
    signal: new AbortController().signal,
    onWaiting: () => console.log('waiting'),
    onProblem: ({ message }) => console.log(`problem: ${message}`),
  });
  if (mode === 'serve') {
    const path = controlSocketPath(stateDirectory);
    rmSync(path, { force: true });
    await new Promise<void>(resolve => createServer().listen(path, resolve));
  }
  console.log('held');
  setInterval(() => {}, 60_000);
}

async function forget(): Promise<void> {
  if (!(await tryNodeLock(stateDirectory)) || !globalThis.gc) return;
  // A finalizer runs some turns of the event loop after the collection.
  for (let turn = 0; turn < 5; turn++) {
    globalThis.gc();
    await delay(1);
  }
  console.log('held');
  setInterval(() => {}, 60_000);
}

async function contend(journal: string, remove: boolean): Promise<void> {
  for (;;) {
    const lock = await tryNodeLock(stateDirectory).catch(unlessRemoved);
    if (lock) {
      await claim(journal);
      if (remove) rmSync(join(stateDirectory, 'agent.lock'));
      lock.release();
    }
    await delay(Math.random() * 10);
  }
}

async function claim(journal: string): Promise<void> {
  const name = String(process.pid);
  const marker = `${journal}.holder`;
  writeFileSync(`${marker}.${name}`, name);
  renameSync(`${marker}.${name}`, marker);
  appendFileSync(journal, `held by ${name}\n`);
  for (let look = 0; look < 10; look++) {
    await delay(Math.random() * 3);
    const named = readFileSync(marker, 'utf8');
    if (named !== name) appendFileSync(journal, `${named} came while ${name} held\n`);
  }
}

/** Where the file is removed, it can be gone between two steps of another's try. */
function unlessRemoved(error: unknown): undefined {
  if (end !== 'remove' || !(error instanceof Failure) || codeOf(error.cause) !== 'ENOENT') throw error;
}
