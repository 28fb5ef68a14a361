import assert from 'node:assert/strict';
import { mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startAgent } from './agent-process.ts';
import { credentialNode } from './credential-node.ts';
import { waitUntil } from './sandbox/wait-until.ts';

const limits = { timeout: 60_000 };

test(
  'of two agents on a node one works, and the other takes over within a second, also after SIGKILL',
  limits,
  async t => {
    const node = await credentialNode(t);
    const first = await node.startAgent();
    await first.untilReady();
    let working = first;
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const second = await node.startAgent();
      await second.untilNotReady(/another agent works on this node; this one takes over when that has ended/);
      assert.equal((await second.get('/livez')).status, 200);
      await node.rotate(`with ${signal}`);
      await node.untilPassword(`with ${signal}`);
      assert.equal(
        (await second.status()).credentials.targets.length,
        0,
        'the one that waits writes nothing',
      );
      assert.match(second.stdout(), /another agent works on this node/);

      working.kill(signal);
      await working.ended;
      const ended = Date.now();
      await second.untilReady(1_000);
      assert.ok(Date.now() - ended < 1_000);
      working = second;
    }
    await node.rotate('last');
    await node.untilPassword('last');
  },
);

test(
  'the control socket tells the same as the HTTP address, to root alone, and is gone with the agent',
  limits,
  async t => {
    const node = await credentialNode(t);
    const agent = await node.startAgent();
    await agent.untilReady();
    const socket = join(node.stateDirectory, 'agent.sock');
    assert.equal((await stat(socket)).mode & 0o777, 0o600);
    const { askAgent } = await import('../agent/control/control-client.ts');
    const asked = await askAgent(socket, { method: 'GET', path: '/status', timeoutMs: 2_000 });
    assert.deepEqual(JSON.parse(asked.body), await agent.status());
    assert.equal((await agent.get('/clean')).status, 404, 'there nobody can ask for cleaning up');
    agent.kill('SIGTERM');
    await agent.ended;
    assert.deepEqual((await readdir(node.stateDirectory)).toSorted(), ['agent.lock', 'ownership.json']);
  },
);

test(
  'an agent whose state directory cannot be used writes nothing, says why, and starts when it can',
  limits,
  async t => {
    const node = await credentialNode(t);
    await mkdir(join(node.hostRoot, 'var/lib'), { recursive: true });
    await writeFile(node.stateDirectory, 'a file');
    const agent = await node.startAgent();
    await agent.untilNotReady(/locking .*agent.lock.*: a part of the path is not a directory/);
    assert.equal(await node.password(), undefined);
    await rm(node.stateDirectory);
    await agent.untilReady();
    assert.equal(await node.password(), 'one');
  },
);

test('a state directory that a link leads out of the node is not used', limits, async t => {
  const node = await credentialNode(t);
  const outside = join(node.hostRoot, '../outside');
  await mkdir(join(node.hostRoot, 'var/lib'), { recursive: true });
  await mkdir(outside);
  await symlink(outside, node.stateDirectory);
  const agent = await node.startAgent();
  await agent.untilNotReady(/using the state directory .*: a symbolic link leads it out of the node's root/);
  assert.deepEqual(await readdir(outside), []);
});

test('--once beside a running agent gives up and says so', limits, async t => {
  const node = await credentialNode(t);
  const agent = await node.startAgent();
  await agent.untilReady();
  const once = await startAgent(t, node.flags('run', '--once'));
  await waitUntil(() => /another agent works/.test(once.stdout()), { what: 'the word', timeoutMs: 5_000 });
  assert.equal(await once.ended, 1);
  assert.match(once.stdout(), /not ready/i);
});
