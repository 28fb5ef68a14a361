import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { chooseRuntime } from '../../agent/runtimes/choose-runtime.ts';
import { connectCri } from '../../agent/runtimes/cri/cri-runtime.ts';
import type { SocketLook } from '../../agent/runtimes/known-sockets.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { serveRuntime } from './small-runtime.ts';

const limits = { timeout: 20_000 };
const [containerd, k3s, crio, docker, criDockerd] = [
  '/run/containerd/containerd.sock',
  '/run/k3s/containerd/containerd.sock',
  '/run/crio/crio.sock',
  '/run/docker.sock',
  '/run/cri-dockerd.sock',
];

/** What is met at sockets that are made at the time 100, one after the other, and which of them is chosen. */
async function startChoosing(t: TestContext) {
  const socketPath = join(await temporaryDirectory(t), 'socket');
  await serveRuntime(t, socketPath);
  const runtime = await connectCri(socketPath, 'unix:///socket', new AbortController().signal);
  cleanUp(t, () => runtime.close());
  const answering = (path: string, hasPods = false): SocketLook => {
    return { path, madeAt: 100, runtime, hasPods, remark: '' };
  };
  const silent = (path: string): SocketLook => ({ ...answering(path), runtime: undefined });
  const chosen = (...parameters: Parameters<typeof chooseRuntime>) => chooseRuntime(...parameters)?.path;
  return { answering, silent, chosen };
}

test('the runtime that has pods is taken, wherever it is and whatever was used before', limits, async t => {
  const { answering, silent, chosen } = await startChoosing(t);
  for (const serving of [containerd, crio, docker, criDockerd]) {
    const looks = [k3s, docker, containerd, crio, criDockerd]
      .filter(path => path !== serving)
      .map(path => answering(path));
    const all = [silent('/x'), ...looks, answering(serving, true)];
    assert.equal(chosen(all, undefined), serving);
    assert.equal(chosen(all, { path: k3s, lostAt: 200, goneFor: undefined }), serving);
    assert.equal(chooseRuntime(all, undefined)?.reason, 'pods of a kubelet run there');
  }
  // The same pods through two doors.
  assert.equal(chosen([answering(docker, true), answering(criDockerd, true)], undefined), docker);
});

test('without pods it is docker, or else the first one', limits, async t => {
  const { answering, silent, chosen } = await startChoosing(t);
  const all = [containerd, crio, docker, criDockerd].map(path => answering(path));
  assert.equal(chosen(all, undefined), docker);
  assert.match(chooseRuntime(all, undefined)?.reason ?? '', /no pods run anywhere, and docker is what/);
  const withoutDocker = [silent(containerd), answering(k3s), answering(crio), silent(docker)];
  assert.equal(chosen(withoutDocker, undefined), k3s);
  assert.match(chooseRuntime(withoutDocker, undefined)?.reason ?? '', /it is the first of the known ones/);
  assert.equal(chooseRuntime([answering(crio)], undefined)?.reason, 'no other one answers');
  assert.equal(chosen([silent(containerd), silent(docker)], undefined), undefined);
});

test('an idle runtime does not take the place of one that is only restarting', limits, async t => {
  const { answering, silent, chosen } = await startChoosing(t);
  const idle = answering(docker);
  const former = { path: containerd, lostAt: 200, goneFor: undefined };
  assert.equal(chosen([silent(containerd), idle], former), undefined);
  // Runtimes take their socket away when they are stopped.
  assert.equal(chosen([idle], { ...former, goneFor: 30_000 }), undefined);
  assert.equal(chosen([idle], { ...former, goneFor: 61_000 }), docker);
  // A socket that came after the loss is another matter, once the former's is gone.
  const fresh = { ...answering(k3s), madeAt: 201 };
  assert.equal(chosen([silent(containerd), fresh, idle], former), undefined);
  assert.equal(chosen([fresh, idle], { ...former, goneFor: 0 }), k3s);
  // And when the former is there again, it is used again.
  assert.equal(chosen([answering(containerd), fresh, idle], former), containerd);
});
