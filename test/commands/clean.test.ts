import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startAgent } from '../agent-process.ts';
import { type CredentialNode, credentialNode, kubeletFile } from '../credential-node.ts';

const limits = { timeout: 60_000 };
const theirs = '{"auths": {"r.io":   {"auth": "eDp5"}},\n\t"psFormat": "x"}';

/** Runs `clean` on the node and returns how it ended and what it said. */
async function clean(t: TestContext, node: CredentialNode) {
  const process = await startAgent(t, node.flags('clean'));
  const status = await process.ended;
  return { status, said: process.stdout() + process.stderr() };
}

/** A node whose kubelet's file has an entry of somebody else for the registry of our Secret. */
async function nodeWithTheirs(t: TestContext) {
  const node = await credentialNode(t);
  const file = join(node.hostRoot, kubeletFile);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, theirs);
  const isAsItWas = async () => {
    assert.equal(await readFile(file, 'utf8'), theirs);
    assert.deepEqual((await readdir(node.hostRoot)).toSorted(), ['var'], 'what we made is gone');
  };
  return { node, isAsItWas };
}

test('clean restores the node with no agent running, and a second time finds nothing', limits, async t => {
  const { node, isAsItWas } = await nodeWithTheirs(t);
  const agent = await node.startAgent();
  await agent.untilReady();
  agent.kill('SIGKILL');
  await agent.ended;
  assert.equal(await node.password(), 'one');

  const first = await clean(t, node);
  assert.equal(first.status, 0, first.said);
  assert.match(first.said, /^\/var\/lib\/kubelet\/config.json is without entries of pullready$/m);
  await isAsItWas();
  assert.deepEqual(await clean(t, node), {
    status: 0,
    said: 'There is nothing of pullready on this node.\n',
  });
  await isAsItWas();
});

test(
  'beside a running agent, that one cleans up, and then does nothing until it is started anew',
  limits,
  async t => {
    const { node, isAsItWas } = await nodeWithTheirs(t);
    const agent = await node.startAgent();
    await agent.untilReady();
    const first = await clean(t, node);
    assert.equal(first.status, 0, first.said);
    await isAsItWas();
    await agent.untilNotReady(/the node was cleaned; start the agent anew/);
    assert.equal((await clean(t, node)).status, 0);
    await node.rotate('two');
    assert.equal((await agent.status()).agent, 'cleaned');
    await isAsItWas();

    agent.kill('SIGTERM');
    assert.equal(await agent.ended, 0);
    await isAsItWas();
    await (await node.startAgent()).untilReady();
    assert.equal(await node.password(), 'two');
  },
);

test('on a node where pullready never was, nothing is made', limits, async t => {
  const node = await credentialNode(t);
  assert.equal((await clean(t, node)).status, 0);
  assert.deepEqual(await readdir(node.hostRoot), []);
});

test('what cannot be cleaned is told, and the exit status says so', limits, async t => {
  const node = await credentialNode(t);
  const agent = await node.startAgent();
  await agent.untilReady();
  agent.kill('SIGTERM');
  await agent.ended;
  await writeFile(
    join(node.stateDirectory, 'agent.lock'),
    'no database, and long enough to be seen as none '.repeat(20),
  );
  const { status, said } = await clean(t, node);
  assert.equal(status, 1);
  assert.match(said, /^pullready: locking .*agent.lock.*delete it/m);
});
