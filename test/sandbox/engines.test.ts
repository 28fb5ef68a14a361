import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { cleanUp } from './cleanup.ts';
import { createDockerEngine } from './docker-engine.ts';
import { createPodmanEngine } from './podman-engine.ts';
import { temporaryDirectory } from './temporary.ts';
import { waitUntil } from './wait-until.ts';

const limits = { timeout: 60_000 };

// An engine that was started by a process of its own.
const victim = `
  const { [process.env.CREATE]: create } = await import(process.env.ENGINE);
  const nodeRoot = process.env.DIRECTORY;
  const engine = create({ nodeRoot, logFile: nodeRoot + '/log' });
  await engine.start();
  console.log(engine.pid());
  setInterval(() => {}, 1000);
`;

for (const [create, file, own] of [
  [createDockerEngine, 'docker-engine.ts', 2],
  [createPodmanEngine, 'podman-engine.ts', 1],
] as const)
  test(
    `${file}: an engine ends with its starter, also if that is killed, and starts again`,
    limits,
    async t => {
      const nodeRoot = await temporaryDirectory(t);
      const starter = startVictim(create.name, file, nodeRoot);
      cleanUp(t, () => void starter.kill('SIGKILL'));
      const pids = await withDescendants(await readPid(starter));
      assert.ok(pids.length >= own, `${pids}`);
      starter.kill('SIGKILL');
      for (const pid of pids)
        await waitUntil(() => isGone(pid), { what: `process ${pid} to end`, timeoutMs: 5_000 });
      assert.ok(!(await readFile('/proc/self/mountinfo', 'utf8')).includes(nodeRoot));

      const engine = create({ nodeRoot, logFile: join(nodeRoot, 'log') });
      cleanUp(t, () => engine.stop());
      await engine.start();
      const again = await withDescendants(engine.pid() ?? 0);
      await engine.stop();
      for (const pid of again)
        await waitUntil(() => isGone(pid), { what: `process ${pid} to end`, timeoutMs: 5_000 });
      assert.equal(engine.pid(), undefined);
    },
  );

function startVictim(create: string, file: string, directory: string): ChildProcess {
  const env = {
    ...process.env,
    CREATE: create,
    ENGINE: join(import.meta.dirname, file),
    DIRECTORY: directory,
  };
  const args = ['--input-type=module', '--eval', victim];
  return spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
}

async function readPid({ stdout }: ChildProcess): Promise<number> {
  assert.ok(stdout);
  const [line] = await once(createInterface(stdout), 'line');
  return Number(line);
}

/** The process and all that it started: each thread has its own children. */
async function withDescendants(pid: number): Promise<readonly number[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(
    threads.map(thread => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  );
  const children = lists.join(' ').split(' ').filter(Boolean).map(Number);
  return [pid, ...(await Promise.all(children.map(withDescendants))).flat()];
}

/** A process that has ended and that nobody has waited for yet is gone, too. */
async function isGone(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return status === undefined || / Z /.test(status.slice(status.lastIndexOf(')')));
}
