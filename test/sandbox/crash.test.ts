import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { cleanUp } from './cleanup.ts';
import { startSandboxNode } from './sandbox-node.ts';
import { temporaryDirectory } from './temporary.ts';
import { waitUntil } from './wait-until.ts';

// A sandbox in a process of its own, with a pull under way that takes its time.
const victim = `
  import { readFileSync } from 'node:fs';
  const { startSandboxNode } = await import(process.env.SANDBOX_NODE);
  const { publishImage } = await import(process.env.IMAGES);
  const users = [{ name: 'user', password: 'password', repositories: ['*'] }];
  const node = await startSandboxNode({ directory: process.env.DIRECTORY, users });
  const image = await publishImage(node.registry, { repository: 'a', tag: '1', layers: [1000, 20_000_000] });
  node.registry.limit(1_000_000);
  node.runtime.ctr('images', 'pull', '--plain-http', '--user', 'user:password', image.reference);
  const children = readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8').trim().split(' ');
  console.log(JSON.stringify({ containerd: node.runtime.pid(), children: children.map(Number) }));
  setInterval(() => {}, 1000);
`;

test('a sandbox that is killed leaves nothing running or mounted, and the next start works', {
  timeout: 30_000,
}, async t => {
  let sandbox: ChildProcess | undefined;
  const directory = await temporaryDirectory(t);
  cleanUp(t, async () => void sandbox?.kill('SIGKILL'));
  sandbox = startVictim(directory);
  const { containerd, children } = await readReport(sandbox);
  assert.ok(
    children.includes(containerd) && children.length >= 2,
    'containerd and docker-registry are its children',
  );

  sandbox.kill('SIGKILL');
  for (const pid of children)
    await waitUntil(() => isGone(pid), { what: `process ${pid} to end`, timeoutMs: 5000 });
  assert.ok(!(await readFile('/proc/self/mountinfo', 'utf8')).includes(directory));

  const node = await startSandboxNode({ directory, users: [] });
  try {
    await node.runtime.ctr('images', 'ls');
  } finally {
    await node.stop();
  }
});

function startVictim(directory: string): ChildProcess {
  const env = {
    ...process.env,
    DIRECTORY: directory,
    SANDBOX_NODE: join(import.meta.dirname, 'sandbox-node.ts'),
    IMAGES: join(import.meta.dirname, 'images.ts'),
  };
  return spawn(process.execPath, ['--input-type=module', '--eval', victim], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function readReport({ stdout }: ChildProcess): Promise<{ containerd: number; children: number[] }> {
  assert.ok(stdout);
  const [line] = (await once(createInterface(stdout), 'line')) as [string];
  return JSON.parse(line) as { containerd: number; children: number[] };
}

function isGone(pid: number): Promise<boolean> {
  return access(`/proc/${pid}`).then(
    () => false,
    () => true,
  );
}
