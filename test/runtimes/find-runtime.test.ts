import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { findRuntime } from '../../agent/runtimes/find-runtime.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory, temporaryNode } from '../sandbox/temporary.ts';
import { serveRuntime } from './small-runtime.ts';

const limits = { timeout: 20_000 };
const never = new AbortController().signal;

test('auto finds containerd at its usual place and knows its version', limits, async t => {
  const node = await temporaryNode(t, { users: [] });
  const runtime = await findRuntime('auto', node.hostRoot, never);
  cleanUp(t, () => runtime.close());
  assert.deepEqual(
    [runtime.name, runtime.endpoint],
    ['containerd', 'unix:///run/containerd/containerd.sock'],
  );
  assert.match(runtime.version, /^\d+\.\d+/);
  assert.match((await runtime.imageDirectory(never)) ?? '', /^\/var\/lib\/containerd/);
  assert.equal((await runtime.listImages(never)).size, 0);

  const named = await findRuntime('unix:///var/run/containerd/containerd.sock', node.hostRoot, never);
  named.close();
  await named.closed;
  await node.containerd.kill('SIGKILL');
  await runtime.closed;
  await assert.rejects(runtime.listImages(never), /listing the images of the container runtime/);
});

test('where nothing is, all places that were looked at are named', limits, async t => {
  const directory = await temporaryDirectory(t);
  await assert.rejects(
    findRuntime('auto', directory, never),
    /looking for a container runtime: there is no socket at \/run\/containerd\/containerd.sock, .*crio.*; start the runtime/,
  );
});

test('a runtime that stands in the way is told, and another one that answers is used', limits, async t => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'run/k3s/containerd'), { recursive: true });
  await mkdir(join(directory, 'run/containerd'));
  await writeFile(join(directory, 'run/containerd/containerd.sock'), '');
  await assert.rejects(
    findRuntime('auto', directory, never),
    /looking for a container runtime: connecting to .*containerd\.sock: nothing listens there; .*; start the/,
  );
  await serveRuntime(t, join(directory, 'run/k3s/containerd/containerd.sock'));
  const runtime = await findRuntime('auto', directory, never);
  cleanUp(t, () => runtime.close());
  assert.equal(runtime.endpoint, 'unix:///run/k3s/containerd/containerd.sock');
});
