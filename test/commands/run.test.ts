import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { flagsFor, startAgent } from '../agent-process.ts';
import { dockerConfigJson } from '../sandbox/docker-config.ts';
import { publishImage } from '../sandbox/images.ts';
import type { SandboxNode } from '../sandbox/sandbox-node.ts';
import { temporaryNode } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';

const limits = { timeout: 60_000 };
const kubeletFile = 'var/lib/kubelet/config.json';
const dockerFile = 'root/.docker/config.json';

/** A node whose Secret has the credential of the registry's only user, and a config that lists `images`. */
async function nodeWith(
  t: TestContext,
  images: (node: SandboxNode) => Promise<readonly unknown[]> = async () => [],
) {
  const node = await temporaryNode(t, {
    users: [{ name: 'team-a', password: 'first-Passw0rd', repositories: ['*'] }],
  });
  await writeSecret(node, 'first-Passw0rd');
  await node.updateConfig({ images: await images(node), disk: { keepFree: 1 } });
  return node;
}

async function writeSecret(node: SandboxNode, password: string): Promise<void> {
  const login = { registry: node.registry.host, user: 'team-a', password };
  await node.updateSecret('team-a', { '.dockerconfigjson': dockerConfigJson(login) });
}

async function authIn(node: SandboxNode, file: string): Promise<string> {
  const { auths } = JSON.parse(await readFile(join(node.hostRoot, file), 'utf8'));
  return Buffer.from(auths[node.registry.host].auth, 'base64').toString();
}

test('writes both files, pulls the images, is ready, and leaves the files at SIGTERM', limits, async t => {
  const node = await nodeWith(t, async ({ registry }) => {
    const api = await publishImage(registry, {
      repository: 'team-a/api',
      tag: 'v1',
      layers: [1_000, 20_000],
    });
    return [api.reference];
  });
  const agent = await startAgent(t, flagsFor(node));
  await agent.untilReady();

  for (const file of [kubeletFile, dockerFile]) {
    assert.equal(await authIn(node, file), 'team-a:first-Passw0rd');
    assert.equal((await stat(join(node.hostRoot, file))).mode & 0o777, 0o600);
  }
  assert.equal((await stat(join(node.hostRoot, 'root/.docker'))).mode & 0o777, 0o700);
  const status = await agent.status();
  assert.deepEqual(
    status.images.map(({ state, attempts }) => ({ state, attempts })),
    [{ state: 'present', attempts: 1 }],
  );
  assert.match(await node.runtime.ctr('images', 'ls', '-q'), /team-a\/api:v1/);

  const asked = performance.now();
  agent.kill('SIGTERM');
  assert.equal(await agent.ended, 0);
  assert.ok(performance.now() - asked < 5_000);
  assert.equal(await authIn(node, kubeletFile), 'team-a:first-Passw0rd');
});

test(
  '--once ends with 0 and a summary when the node is ready, and with 1 when it cannot be',
  limits,
  async t => {
    const node = await nodeWith(t, async ({ registry }) => {
      const api = await publishImage(registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
      return [api.reference];
    });
    const agent = await startAgent(t, flagsFor(node, '--once'));
    assert.equal(await agent.ended, 0);
    assert.match(agent.stdout(), /node-1 is ready/);
    assert.match(agent.stdout(), /team-a\/api:v1 +present +pulled/);

    await node.updateConfig({ images: [`${node.registry.host}/team-a/no-such:v1`], disk: { keepFree: 1 } });
    const second = await startAgent(t, flagsFor(node, '--once'));
    assert.equal(await second.ended, 1);
    assert.match(second.stdout(), /node-1 is NOT ready[\s\S]*no-such:v1 +failed +not-found/);
  },
);

test('--once ends with 2 and the line and column when the config is unusable', limits, async t => {
  const node = await nodeWith(t);
  await node.updateConfig('images:\n  - foo\nimagess: []\n');
  const agent = await startAgent(t, flagsFor(node, '--once'));
  assert.equal(await agent.ended, 2);
  assert.match(agent.stdout(), /config\.yaml:3:1: unknown key imagess/);
});

test(
  'bad flags are all reported at once with status 2, and so are commands that come later',
  limits,
  async t => {
    const agent = await startAgent(t, ['run', '--lisen', 'x', '--log-level', 'loud', '--runtime', 'tcp://x']);
    assert.equal(await agent.ended, 2);
    assert.match(agent.stderr(), /unknown flag --lisen/);
    assert.match(agent.stderr(), /--log-level: expected trace, debug/);
    assert.match(agent.stderr(), /--runtime: expected auto, none or unix/);
    const plan = await startAgent(t, ['plan']);
    assert.equal(await plan.ended, 2);
    assert.match(plan.stderr(), /the command plan is not part of this version yet/);
  },
);

test('a hanging pull delays no credential write', limits, async t => {
  const node = await nodeWith(t, async ({ registry }) => {
    const big = await publishImage(registry, { repository: 'team-a/big', tag: 'v1', layers: [3_000_000] });
    return [big.reference];
  });
  node.registry.limit(0);
  const agent = await startAgent(t, flagsFor(node));
  await agent.untilNotReady(/team-a\/big:v1 is pulling/);

  const swapped = performance.now();
  await writeSecret(node, 'second-Passw0rd');
  await waitUntil(async () => (await authIn(node, dockerFile)) === 'team-a:second-Passw0rd', {
    what: 'the new password in both files',
    timeoutMs: 5_000,
  });
  assert.ok(performance.now() - swapped < 1_000, `took ${performance.now() - swapped} ms`);
  assert.equal((await agent.status()).images[0]?.state, 'pulling');

  const asked = performance.now();
  agent.kill('SIGTERM');
  assert.equal(await agent.ended, 0);
  assert.ok(performance.now() - asked < 5_000, 'the hanging pull is cancelled');
  node.registry.limit(undefined);
});

test('no secret is in any output or file but the targets', limits, async t => {
  const node = await nodeWith(t, async ({ registry }) => {
    const api = await publishImage(registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
    return [api.reference, `${registry.host}/team-a/no-such:v1`, 'not an image'];
  });
  const displaced = { username: 'somebody', password: 'theirs-Passw0rd' };
  await mkdir(join(node.hostRoot, 'root/.docker'), { recursive: true });
  await writeFile(
    join(node.hostRoot, dockerFile),
    JSON.stringify({ auths: { [node.registry.host]: displaced }, psFormat: 'x' }),
  );
  const agent = await startAgent(t, flagsFor(node));
  await agent.untilNotReady(/no-such:v1 failed/);
  const pages = [await everyPage(agent)];

  // A refused password, a document that is not JSON, one entry that is no base64: each is reported, none is quoted.
  await node.registry.setPassword('team-a', 'third-Passw0rd');
  await node.updateConfig({ images: [`${node.registry.host}/team-a/api:v2`], disk: { keepFree: 1 } });
  await agent.untilNotReady(/401/);
  pages.push(await everyPage(agent));
  await node.updateSecret('team-a', { '.dockerconfigjson': '{"auths": third-Passw0rd' });
  await agent.untilNotReady(/secret team-a: .*not JSON/);
  const good = { registry: node.registry.host, user: 'team-a', password: 'third-Passw0rd' };
  const { auths } = JSON.parse(dockerConfigJson(good));
  const mixed = JSON.stringify({ auths: { ...auths, bad: { auth: 'third-Passw0rd' } } });
  await node.updateSecret('team-a', { '.dockerconfigjson': mixed });
  await waitUntil(async () => (await everyPage(agent)).includes('not the base64'), {
    what: 'a note',
    timeoutMs: 5_000,
  });
  pages.push(await everyPage(agent));
  agent.kill('SIGTERM');
  await agent.ended;

  const secrets = ['first-Passw0rd', 'third-Passw0rd', 'theirs-Passw0rd'];
  const forms = secrets.flatMap(secret => [
    secret,
    base64(secret),
    base64(`team-a:${secret}`),
    base64(`somebody:${secret}`),
  ]);
  const seen = new Map([
    ['stdout', agent.stdout()],
    ['stderr', agent.stderr()],
    ['pages', pages.join()],
  ]);
  for (const file of await filesBelow(node.hostRoot)) seen.set(file, await readFile(file, 'latin1'));
  const allowed = [kubeletFile, dockerFile].map(file => join(node.hostRoot, file));
  // What was there before has to be kept somewhere: in the state directory, in files that only root can read.
  const state = join(node.hostRoot, 'var/lib/pullready');
  const record = join(state, 'ownership.json');
  for (const file of await filesBelow(state)) assert.equal((await stat(file)).mode & 0o777, 0o600, file);
  for (const [where, text] of seen) {
    if (allowed.includes(where)) continue;
    for (const form of forms) {
      const kept = where.startsWith(join(state, '/')) && form === 'theirs-Passw0rd';
      assert.ok(kept || !text.includes(form), `${form} is in ${where}`);
    }
  }
  for (const file of [record, ...allowed]) assert.ok(seen.has(file), `${file} was looked at`);
});

async function everyPage(agent: { get(path: string): Promise<{ body: string }> }): Promise<string> {
  const bodies = ['/', '/status', '/metrics', '/readyz', '/livez'].map(
    async path => (await agent.get(path)).body,
  );
  return (await Promise.all(bodies)).join('\n');
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64').replace(/=+$/, '');
}

async function filesBelow(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name));
}

test(
  'stays up with a bad config, names line and column, keeps the last good one, and recovers',
  limits,
  async t => {
    const node = await nodeWith(t);
    const agent = await startAgent(t, flagsFor(node));
    await agent.untilReady();
    await node.updateConfig('pulls:\n  concurrency: many\n  retries: 3\n');
    await agent.untilNotReady(/config\.yaml:2:16: pulls\.concurrency: expected a whole number/);
    assert.match((await agent.get('/readyz')).body, /config\.yaml:3:3: unknown key pulls\.retries/);
    await writeSecret(node, 'second-Passw0rd');
    await waitUntil(async () => (await authIn(node, kubeletFile)) === 'team-a:second-Passw0rd', {
      what: 'a write with the last good config',
      timeoutMs: 5_000,
    });
    await node.updateConfig({ images: [] });
    await agent.untilReady();
  },
);

test('writes nothing before there was a usable config', limits, async t => {
  const node = await nodeWith(t);
  await node.updateConfig('- what?\n');
  const agent = await startAgent(t, flagsFor(node));
  await agent.untilNotReady(/config\.yaml:1:1: expected a mapping/);
  await assert.rejects(stat(join(node.hostRoot, dockerFile)), { code: 'ENOENT' });
  await node.updateConfig({});
  await agent.untilReady();
  assert.equal(await authIn(node, dockerFile), 'team-a:first-Passw0rd');
});

test('stays up with a broken, an empty and a missing Secret, and recovers', limits, async t => {
  const node = await nodeWith(t);
  const agent = await startAgent(t, flagsFor(node));
  await agent.untilReady();
  for (const [content, complaint] of [
    [{ '.dockerconfigjson': '{' }, /secret team-a: .dockerconfigjson .* not JSON .*last good entries/],
    [{ '.dockerconfigjson': '[]' }, /secret team-a: .* a list and should be an object/],
    [{ '.dockerconfigjson': '{"auths": 3}' }, /secret team-a: .*"auths" is a number/],
    [{}, /secret team-a: the Secret does not exist/],
  ] as const) {
    await node.updateSecret('team-a', content);
    await agent.untilNotReady(complaint);
    assert.equal(await authIn(node, kubeletFile), 'team-a:first-Passw0rd');
    await writeSecret(node, 'first-Passw0rd');
    await agent.untilReady();
  }
  await node.removeSecret('team-a');
  await waitUntil(async () => (await agent.status()).credentials.entries.length === 0, {
    what: 'the entry to be revoked',
    timeoutMs: 15_000,
  });
  await assert.rejects(stat(join(node.hostRoot, kubeletFile)), { code: 'ENOENT' });
  assert.match((await agent.get('/readyz')).body, /no Secret is mounted/);
});

test('moves a directory aside that stands in the place of a target, with what is in it', limits, async t => {
  const node = await nodeWith(t);
  const file = join(node.hostRoot, kubeletFile);
  await mkdir(file, { recursive: true });
  await writeFile(join(file, 'theirs'), 'x');
  const agent = await startAgent(t, flagsFor(node));
  await agent.untilReady();
  for (const path of [kubeletFile, dockerFile])
    assert.equal(await authIn(node, path), 'team-a:first-Passw0rd');
  const [aside = ''] = (await readdir(join(file, '..'))).filter(name =>
    name.startsWith('config.json.directory-'),
  );
  assert.equal(await readFile(join(file, '..', aside, 'theirs'), 'utf8'), 'x');
});

test(
  'stays up when the runtime socket is missing, no socket or another server, and connects later',
  limits,
  async t => {
    const node = await nodeWith(t, async ({ registry }) => {
      const api = await publishImage(registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
      return [api.reference];
    });
    await node.runtime.stop();
    const socket = join(node.hostRoot, 'run/containerd/containerd.sock');
    await rm(socket, { force: true });
    const agent = await startAgent(t, flagsFor(node, '--runtime', 'unix:///run/containerd/containerd.sock'));
    await agent.untilNotReady(/no container runtime: .*containerd\.sock: it does not exist/);
    await waitUntil(async () => (await authIn(node, kubeletFile)) === 'team-a:first-Passw0rd', {
      what: 'the credentials without a runtime',
      timeoutMs: 5_000,
    });

    await writeFile(socket, '');
    await agent.untilNotReady(/containerd\.sock: nothing listens there/);
    await rm(socket);

    const other = createServer((_request, response) => response.end('hello'));
    other.listen(socket);
    await agent.untilNotReady(/what listens there does not answer in gRPC/);
    await new Promise(resolve => other.close(resolve));

    await node.runtime.start();
    await agent.untilReady();
  },
);

test(
  'SIGTERM lets the write in progress finish and begins no other, and a second one leaves at once',
  limits,
  async t => {
    const node = await nodeWith(t);
    const slow = [
      'strace',
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      'trace=fsync',
      '-e',
      'inject=fsync:delay_enter=300ms',
    ];
    const first = await startAgent(t, flagsFor(node, '--runtime', 'none'), slow);
    await untilWriting(node);
    await signalAgent(first.pid, 'SIGTERM');
    assert.equal(await first.ended, 0);
    assert.equal(await authIn(node, kubeletFile), 'team-a:first-Passw0rd');
    await assert.rejects(stat(join(node.hostRoot, dockerFile)), { code: 'ENOENT' });

    await rm(join(node.hostRoot, 'var/lib/pullready'), { recursive: true });
    await rm(join(node.hostRoot, kubeletFile));
    const second = await startAgent(t, flagsFor(node, '--runtime', 'none'), slow);
    await untilWriting(node);
    await signalAgent(second.pid, 'SIGTERM');
    await signalAgent(second.pid, 'SIGTERM');
    assert.equal(await second.ended, 143);
    await assert.rejects(stat(join(node.hostRoot, kubeletFile)), { code: 'ENOENT' });
  },
);

/** Waits until the first temporary file, that of the record, is there: its fsync is being held up. */
async function untilWriting(node: SandboxNode): Promise<void> {
  const state = join(node.hostRoot, 'var/lib/pullready');
  await waitUntil(async () => (await readdir(state)).some(name => name.includes('.pullready-')), {
    what: 'a write to be in progress',
    timeoutMs: 10_000,
  });
}

/** Signals the agent that runs under strace, which is the child of the given process. */
async function signalAgent(strace: number, signal: string): Promise<void> {
  const children = await readFile(`/proc/${strace}/task/${strace}/children`, 'utf8');
  await promisify(execFile)('kill', ['-s', signal.slice(3), children.trim().split(' ').at(-1) ?? '']);
}

for (const format of ['json', 'pretty']) {
  test(
    `a log that cannot be written does not keep the credentials from being (${format})`,
    limits,
    async t => {
      const node = await nodeWith(t);
      const full = ['sh', '-c', 'exec "$@" > /dev/full', 'sh'];
      const agent = await startAgent(
        t,
        flagsFor(node, '--runtime', 'none', '--once', '--log-format', format),
        full,
      );
      assert.equal(await agent.ended, 0, agent.stderr());
      assert.equal(await authIn(node, dockerFile), 'team-a:first-Passw0rd');
    },
  );
}
