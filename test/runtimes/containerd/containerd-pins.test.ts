import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { SecretText } from '../../../agent/base/secret-text.ts';
import { ContainerdPins } from '../../../agent/runtimes/containerd/containerd-pins.ts';
import { openGrpcConnection } from '../../../agent/runtimes/cri/grpc-connection.ts';
import { findRuntime } from '../../../agent/runtimes/find-runtime.ts';
import { cleanUp } from '../../sandbox/cleanup.ts';
import { publishImage } from '../../sandbox/images.ts';
import { temporaryNode } from '../../sandbox/temporary.ts';

const limits = { timeout: 60_000 };
const signal = new AbortController().signal;

/** A containerd with the image `team-a/api:v1` of a registry, and what pins on it. */
async function start(t: TestContext) {
  const node = await temporaryNode(t, {
    users: [{ name: 'team-a', password: 'a-word', repositories: ['*'] }],
  });
  const runtime = await findRuntime('auto', node.hostRoot, signal);
  const connection = await openGrpcConnection(node.runtime.socket, signal);
  cleanUp(t, () => {
    runtime.close();
    connection.close();
  });
  const publish = (bytes: number) =>
    publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [bytes] });
  const { reference: name } = await publish(1_000);
  const pull = () =>
    runtime.pull({ name, credential: { username: 'team-a', password: new SecretText('a-word') } }, signal);
  await pull();
  const id = async () => (await runtime.listImages(signal)).get(name)?.id ?? '';
  /** The names of the images that carry a label, as ctr tells them. */
  const labelled = async (label: string) => {
    const lines = (await node.runtime.ctr('images', 'list')).split('\n').filter(line => line.includes(label));
    return lines.map(line => line.split(' ', 1)[0]);
  };
  return { node, name, id, pull, publish, labelled, pins: new ContainerdPins(connection.transport) };
}

test(
  "a pin is containerd's own label, survives that the image is pulled again, and is taken away whole",
  limits,
  async t => {
    const { id, pull, labelled, pins } = await start(t);
    const before = await id();
    assert.deepEqual((await pins.list(signal)).ours, new Set());
    await pins.pin(before, signal);
    for (const look of ['at once', 'after a pull']) {
      assert.deepEqual(await labelled('io.cri-containerd.pinned=pinned'), [before], look);
      assert.deepEqual((await pins.list(signal)).ours, new Set([before]));
      await pull();
    }
    await pins.unpin(before, signal);
    assert.deepEqual(await labelled('io.cri-containerd.pinned'), []);
    assert.deepEqual(await labelled('io.pullready.pinned'), []);
    assert.notDeepEqual(await labelled('io.cri-containerd.image=managed'), [], 'other labels stay');
  },
);

test('a tag that was moved leaves the pin on the image of before, where it is found', limits, async t => {
  const { id, pull, publish, pins } = await start(t);
  const before = await id();
  await pins.pin(before, signal);
  await publish(2_000);
  await pull();
  assert.notEqual(await id(), before);
  assert.deepEqual((await pins.list(signal)).ours, new Set([before]));
});

test('the pin of somebody else is none of ours', limits, async t => {
  const { node, id, name, labelled, pins } = await start(t);
  await node.runtime.ctr('images', 'label', name, 'io.cri-containerd.pinned=pinned');
  assert.deepEqual(await pins.list(signal), { ours: new Set(), others: new Set([name]), lost: new Set() });
  await pins.unpin(await id(), signal);
  assert.deepEqual(await labelled('io.cri-containerd.pinned=pinned'), [name]);
});

test('an image that is gone takes its pin along, and is no failure', limits, async t => {
  const { node, id, name, pins } = await start(t);
  const before = await id();
  await pins.pin(before, signal);
  const everything = (await node.runtime.ctr('images', 'list', '-q')).trim().split('\n');
  await node.runtime.ctr('images', 'rm', ...everything);
  assert.ok(everything.includes(name));
  assert.deepEqual((await pins.list(signal)).ours, new Set());
  await pins.pin(before, signal);
  await pins.unpin(before, signal);
});

test('a pin that was taken away by hand leaves our mark, which is told and goes', limits, async t => {
  const { node, id, labelled, pins } = await start(t);
  const image = await id();
  await pins.pin(image, signal);
  await node.runtime.ctr('images', 'label', image, 'io.cri-containerd.pinned=');
  assert.deepEqual(await pins.list(signal), { ours: new Set(), others: new Set(), lost: new Set([image]) });
  await pins.unpin(image, signal);
  assert.deepEqual(await labelled('io.pullready.pinned'), []);
  assert.deepEqual(await pins.list(signal), { ours: new Set(), others: new Set(), lost: new Set() });
});
