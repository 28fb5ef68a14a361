import assert from 'node:assert/strict';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { cleanUp } from '../sandbox/cleanup.ts';
import { createContainerd } from '../sandbox/containerd.ts';
import { publishImage } from '../sandbox/images.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { configOf, startFlow, startNode } from './flows.ts';

const limits = { timeout: 60_000 };

/** A second containerd, whose socket is where k3s has it on the node. */
async function secondContainerd(t: TestContext, hostRoot: string) {
  const nodeRoot = await temporaryDirectory(t);
  const second = createContainerd({ nodeRoot, logFile: join(nodeRoot, 'containerd.log') });
  cleanUp(t, () => second.stop());
  await mkdir(join(hostRoot, 'run/k3s'), { recursive: true });
  await symlink(join(nodeRoot, 'run/containerd'), join(hostRoot, 'run/k3s/containerd'));
  return second;
}

/** A log, and what was said in it of connections. */
function recordConnections() {
  const connections: { endpoint: string; because: string }[] = [];
  const write = (line: string) => {
    const entry = JSON.parse(line);
    if (entry.msg === 'connected to the container runtime') connections.push(entry);
  };
  const stream = new Writable({
    write(chunk, _encoding, done) {
      String(chunk).trim().split('\n').forEach(write);
      done();
    },
  });
  return { log: pino(stream), connections };
}

test(
  'a node that changes its runtime is followed within seconds, and its images go there',
  limits,
  async t => {
    const node = await startNode(t);
    const second = await secondContainerd(t, node.hostRoot);
    const api = await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
    const { log, connections } = recordConnections();
    const { flow, login, image, until } = startFlow(t, node, 'auto', { log });
    flow.setConfig(configOf([api.reference], { resync: '1h' }));
    login();
    await until('the image', () => image()?.state === 'present');

    await node.runtime.stop();
    await until('the loss', () => flow.state.runtime.state === 'unavailable');
    await second.start();
    await until('the other one', () => flow.state.runtime.state === 'connected', 5_000);
    assert.equal(flow.state.runtime.endpoint, 'unix:///run/k3s/containerd/containerd.sock');
    assert.equal(flow.state.runtime.reason, 'no other one answers');
    await until('the image there', async () =>
      (await second.ctr('images', 'ls', '-q')).includes(api.reference),
    );

    // An idle one that comes meanwhile is not looked at until the connection is lost.
    await node.runtime.start();
    await second.kill('SIGKILL');
    await until('the wait for it', () => /is waited for: /.test(flow.state.runtime.problem ?? ''));
    await second.start();
    await until('its return', () => flow.state.runtime.state === 'connected', 5_000);
    assert.deepEqual(
      connections.map(({ endpoint, because }) => [endpoint, because]),
      [
        ['unix:///run/containerd/containerd.sock', 'no other one answers'],
        ['unix:///run/k3s/containerd/containerd.sock', 'no other one answers'],
        [
          'unix:///run/k3s/containerd/containerd.sock',
          'it was used before, and no pods run elsewhere; passed over: /run/containerd/containerd.sock (it answers and has no pods)',
        ],
      ],
    );
  },
);
