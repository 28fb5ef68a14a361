import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { findRuntime, RuntimeFinder } from '../../agent/runtimes/find-runtime.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory, temporaryNode } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';
import { type SmallRuntimeAnswers, serveRuntime } from './small-runtime.ts';

const limits = { timeout: 30_000 };
const never = new AbortController().signal;
const containerd = '/run/containerd/containerd.sock';
const k3s = '/run/k3s/containerd/containerd.sock';
const microk8s = '/var/snap/microk8s/common/run/containerd.sock';
const crio = '/run/crio/crio.sock';

const withPods = { listPodSandbox: () => ({ items: [{ id: 'a' }] }) };

/** A small runtime at a known place of a node. Returns what ends it. */
async function serveAt(t: TestContext, hostRoot: string, path: string, answers: SmallRuntimeAnswers = {}) {
  await mkdir(dirname(join(hostRoot, path)), { recursive: true });
  return serveRuntime(t, join(hostRoot, path), answers);
}

/** Takes connections at a known place, and never says a word. Returns how many it took. */
async function hangAt(t: TestContext, hostRoot: string, path: string) {
  await mkdir(dirname(join(hostRoot, path)), { recursive: true });
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer(socket => {
    connections++;
    sockets.add(socket.on('error', () => socket.destroy()));
  });
  cleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(join(hostRoot, path));
  await once(server, 'listening');
  return () => connections;
}

/** Finds, and closes what was found when the test ends. */
async function find(t: TestContext, finder: RuntimeFinder) {
  const runtime = await finder.find(never);
  cleanUp(t, () => runtime.close());
  return runtime;
}

test('auto finds containerd at its usual place and knows its version', limits, async t => {
  const node = await temporaryNode(t, { users: [] });
  const runtime = await findRuntime('auto', node.hostRoot, never);
  cleanUp(t, () => runtime.close());
  assert.deepEqual([runtime.name, runtime.endpoint], ['containerd', `unix://${containerd}`]);
  assert.match(runtime.version, /^\d+\.\d+/);
  assert.match((await runtime.imageDirectory(never)) ?? '', /^\/var\/lib\/containerd/);
  assert.equal((await runtime.listImages(never)).size, 0);

  const named = await findRuntime(`unix:///var${containerd}`, node.hostRoot, never);
  named.close();
  await named.closed;
  await node.runtime.kill('SIGKILL');
  await runtime.closed;
  await assert.rejects(runtime.listImages(never), /listing the images of the container runtime/);
});

test('where nothing is, all places that were looked at are named', limits, async t => {
  const directory = await temporaryDirectory(t);
  await assert.rejects(
    findRuntime('auto', directory, never),
    /looking for a container runtime: there is no socket at \/run\/containerd\/containerd.sock, .*crio.*docker\.sock.*; start the runtime/,
  );
});

test('what stands in the way is told, and another one that answers is used', limits, async t => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'run/containerd'), { recursive: true });
  await writeFile(join(directory, containerd), '');
  await assert.rejects(findRuntime('auto', directory, never), {
    message: `looking for a container runtime: ${containerd} (nothing listens there); start the runtime, or say where it is with --runtime`,
  });
  await serveAt(t, directory, k3s);
  const finder = new RuntimeFinder('auto', directory);
  assert.equal((await find(t, finder)).endpoint, `unix://${k3s}`);
  assert.equal(finder.reason, `no other one answers; passed over: ${containerd} (nothing listens there)`);
});

test('several that hang take no longer than one of them', limits, async t => {
  const directory = await temporaryDirectory(t);
  for (const path of [containerd, k3s, '/run/k0s/containerd.sock']) await hangAt(t, directory, path);
  await serveAt(t, directory, crio);
  // It answers, and is not waited for longer than 10 seconds when asked for its pods.
  await serveAt(t, directory, microk8s, {
    listPodSandbox: async (_, { signal }) => {
      await once(signal, 'abort');
      return {};
    },
  });
  const startedAt = performance.now();
  const finder = new RuntimeFinder('auto', directory);
  await find(t, finder);
  const took = performance.now() - startedAt;
  assert.ok(took > 9_000 && took < 14_000, `${took} ms`);
  assert.match(finder.reason ?? '', /k0s\/containerd\.sock \(what listens there does not answer\)/);
});

test('of several that answer the one with pods is used, and the others are let go', limits, async t => {
  const node = await temporaryNode(t, { users: [] });
  const failing = {
    listPodSandbox: () => {
      throw new ConnectError('not now', Code.Unavailable);
    },
  };
  await serveAt(t, node.hostRoot, k3s, failing);
  const end = await serveAt(t, node.hostRoot, crio, withPods);
  const connections = () => process.getActiveResourcesInfo().filter(name => name === 'PipeWrap').length;
  const before = connections();
  const finder = new RuntimeFinder('auto', node.hostRoot);
  const runtime = await find(t, finder);
  assert.equal(runtime.endpoint, `unix://${crio}`);
  assert.equal(
    finder.reason,
    `pods of a kubelet run there; passed over: ${containerd} (it answers and has no pods), ${k3s} (it answers and does not tell of its pods: not now)`,
  );
  // Both ends of the one connection are in this process.
  await waitUntil(() => connections() === before + 2, {
    what: 'the other connections to end',
    timeoutMs: 5_000,
  });

  end();
  await runtime.closed;
  const other = new RuntimeFinder('auto', node.hostRoot);
  assert.equal((await find(t, other)).endpoint, `unix://${containerd}`);
  assert.match(other.reason ?? '', /^no pods run anywhere, and it is the first of the known ones; passed/);
});

test('docker, which asking may start, is only asked where no pods run elsewhere', limits, async t => {
  const directory = await temporaryDirectory(t);
  const docker = await hangAt(t, directory, '/run/docker.sock');
  const criDockerd = await hangAt(t, directory, '/run/cri-dockerd.sock');
  const end = await serveAt(t, directory, crio, withPods);
  const serving = await find(t, new RuntimeFinder('auto', directory));
  assert.deepEqual([docker(), criDockerd()], [0, 0]);
  end();
  await serving.closed;
  await serveAt(t, directory, k3s);
  assert.equal((await find(t, new RuntimeFinder('auto', directory))).endpoint, `unix://${k3s}`);
  assert.ok(docker() > 0 && criDockerd() > 0);
});

test('an idle runtime is left alone while the one that was used restarts', limits, async t => {
  const node = await temporaryNode(t, { users: [] });
  const finder = new RuntimeFinder('auto', node.hostRoot);
  const lose = async (how: () => Promise<void>) => {
    const runtime = await find(t, finder);
    assert.equal(runtime.endpoint, `unix://${containerd}`);
    await how();
    await runtime.closed;
  };
  await lose(() => node.runtime.stop());
  await node.runtime.start();
  await serveAt(t, node.hostRoot, k3s);

  // Its socket stays when it is killed, and goes when it is stopped.
  await lose(() => node.runtime.kill('SIGKILL'));
  await assert.rejects(find(t, finder), {
    message: `looking for a container runtime: ${containerd} was used before and is waited for: ${containerd} (nothing listens there), ${k3s} (it answers and has no pods); start that one again, or say with --runtime which one is to be used`,
  });
  await node.runtime.start();
  await lose(() => node.runtime.stop());
  await assert.rejects(
    find(t, finder),
    /is waited for: \/run\/k3s\/containerd\/containerd\.sock \(it answers/,
  );
  await node.runtime.start();
  assert.equal((await find(t, finder)).endpoint, `unix://${containerd}`);
  assert.match(
    finder.reason ?? '',
    /^it was used before, and no pods run elsewhere; passed over: \/run\/k3s/,
  );
});

test('pods that run elsewhere now are followed, also while the former hangs', limits, async t => {
  const node = await temporaryNode(t, { users: [] });
  const finder = new RuntimeFinder('auto', node.hostRoot);
  const former = await find(t, finder);
  await serveAt(t, node.hostRoot, crio, withPods);
  await node.runtime.kill('SIGSTOP');
  cleanUp(t, () => node.runtime.kill('SIGCONT'));
  former.close();
  await former.closed;
  assert.equal((await find(t, finder)).endpoint, `unix://${crio}`);
});
