import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createRouterTransport } from '@connectrpc/connect';
import { ContentProgress } from '../../../agent/runtimes/containerd/content-progress.ts';
import { findRuntime } from '../../../agent/runtimes/find-runtime.ts';
import { Content } from '../../../agent/runtimes/gen/content_pb.ts';
import type { Runtime } from '../../../agent/runtimes/runtime.ts';
import { cleanUp } from '../../sandbox/cleanup.ts';
import { type ImageRecipe, type PublishedImage, publishImage } from '../../sandbox/images.ts';
import { temporaryNode } from '../../sandbox/temporary.ts';
import { waitUntil } from '../../sandbox/wait-until.ts';
import { credential, underWay } from '../contract/scene.ts';

const limits = { timeout: 40_000 };

/** A node with a runtime, and pulls on it whose progress can be asked for. */
async function start(t: TestContext) {
  const node = await temporaryNode(t, {
    users: [{ name: 'team-a', password: 'a-word', repositories: ['*'] }],
  });
  const ended = new AbortController();
  const runtime: Runtime = await findRuntime('auto', node.hostRoot, ended.signal);
  cleanUp(t, () => {
    ended.abort();
    runtime.close();
  });
  const publish = (
    repository: string,
    tag: string,
    layers: readonly number[],
    rest: Partial<ImageRecipe> = {},
  ) => publishImage(node.registry, { repository, tag, layers, ...rest });
  const pull = (image: string) => {
    const one = underWay(image);
    const { name } = one;
    const done = runtime.pull({ name, credential }, ended.signal);
    done.catch(() => {}); // looked at where it matters
    return { one, done, name };
  };
  type Pull = ReturnType<typeof pull>;
  const measure = async (...pulls: readonly Pull[]) => {
    const progress = await runtime.progress?.(
      pulls.map(({ one }) => one),
      ended.signal,
    );
    return pulls.map(({ name }) => progress?.images.get(name));
  };
  const until = (what: string, condition: () => Promise<boolean>) =>
    waitUntil(condition, { what, timeoutMs: 15_000 });
  return { node, runtime, publish, pull, measure, until };
}

/** The layers' bytes, and a little for the config and the tar archives. */
function isSizeOf({ bytes }: PublishedImage, total: number | null = 0): boolean {
  return total !== null && total >= bytes && total < bytes + 20_000;
}

test('bytes come from the layers under way and done, and in the end are the total', limits, async t => {
  const { node, publish, pull, measure, until } = await start(t);
  const image = await publish('team-a/big.app', 'v1', [3_000_000, 1_000_000]);
  node.registry.limit(2_000_000);
  const one = pull(image.reference);
  await until('half of it', async () => {
    const [progress] = await measure(one);
    if (progress)
      assert.ok(isSizeOf(image, progress.bytesTotal) && progress.bytesDone <= (progress.bytesTotal ?? 0));
    return (progress?.bytesDone ?? 0) > 1_500_000;
  });
  node.registry.limit(undefined);
  await one.done;
  const [progress] = await measure(one);
  assert.ok(progress && isSizeOf(image, progress.bytesTotal));
  assert.equal(progress.bytesDone, progress.bytesTotal);
});

test('of an index only what this platform needs is counted, by tag and by digest', limits, async t => {
  const { node, publish, pull, measure, until } = await start(t);
  const platforms = ['linux/amd64', 'linux/arm64', 'linux/s390x'];
  const image = await publish('team-a/multi', 'v1', [400_000], { platforms });
  node.registry.limit(400_000);
  const byDigest = pull(`${node.registry.host}/team-a/multi@${image.digest}`);
  await until('its size', async () => isSizeOf(image, (await measure(byDigest))[0]?.bytesTotal));
  node.registry.limit(undefined);
  await byDigest.done;
  const byTag = pull(image.reference);
  await byTag.done;
  assert.ok(isSizeOf(image, (await measure(byTag))[0]?.bytesTotal));
});

test('a version that is there does not pass for the one that is pulled', limits, async t => {
  const { node, runtime, publish, pull, measure, until } = await start(t);
  const before = await publish('team-a/app', 'v1', [500_000]);
  const after = await publish('team-a/app', 'v2', [900_000]);
  await pull(before.reference).done;
  await runtime.listImages(new AbortController().signal);
  node.registry.limit(0);
  const stuck = pull(after.reference);
  await until('some time to pass', async () => {
    assert.deepEqual(await measure(stuck), [undefined]);
    return stuck.one.age > 3_500;
  });
  node.registry.limit(400_000);
  const other = pull(after.reference);
  await until('its size', async () => isSizeOf(after, (await measure(other))[0]?.bytesTotal));
});

test(
  'two versions of one repository that are pulled at once have each its own size in the end',
  limits,
  async t => {
    const { publish, pull, measure } = await start(t);
    const images = [
      await publish('team-a/app', 'v1', [500_000]),
      await publish('team-a/app', 'v2', [900_000]),
    ];
    const pulls = images.map(({ reference }) => pull(reference));
    await Promise.all(pulls.map(({ done }) => done));
    const progress = await measure(...pulls);
    for (const [index, image] of images.entries())
      assert.ok(isSizeOf(image, progress[index]?.bytesTotal), JSON.stringify(progress));
  },
);

test(
  'two tags of one image are told when it is clear whose it is, and have the same size in the end',
  limits,
  async t => {
    const { node, publish, pull, measure, until } = await start(t);
    const image = await publish('team-a/app', 'v1', [3_000_000]);
    await addTag(node.registry, image, 'v2');
    node.registry.limit(2_000_000);
    const pulls = [pull(image.reference), pull(image.reference.replace(/v1$/, 'v2'))];
    await until('its bytes', async () =>
      (await measure(...pulls)).every(progress => progress?.awaitsBytes === false),
    );
    node.registry.limit(undefined);
    await Promise.all(pulls.map(({ done }) => done));
    for (const progress of await measure(...pulls)) assert.ok(isSizeOf(image, progress?.bytesTotal));
  },
);

test('a measure begins when the one before it is over', limits, async () => {
  const began: (() => void)[] = [];
  const transport = createRouterTransport(router => {
    const listStatuses = () => new Promise<object>(resolve => began.push(() => resolve({})));
    router.service(Content, { listStatuses });
  });
  const progress = new ContentProgress(transport);
  const measures = [1, 2].map(() => progress.measure([], new Map(), new AbortController().signal));
  await waitUntil(async () => began.length > 0, { what: 'the first', timeoutMs: 5_000 });
  // What it waits for takes a few turns of the event loop.
  for (let turn = 0; turn < 20; turn++) await setImmediate();
  assert.equal(began.length, 1);
  began[0]?.();
  await measures[0];
  await waitUntil(async () => began.length > 1, { what: 'the second', timeoutMs: 5_000 });
  began[1]?.();
  await measures[1];
});

/** Gives an image of the registry one more tag. */
async function addTag(
  registry: Awaited<ReturnType<typeof temporaryNode>>['registry'],
  { repository, digest }: PublishedImage,
  tag: string,
): Promise<void> {
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const found = await registry.publish(repository, `manifests/${digest}`, { headers: { accept: type } });
  const headers = { 'content-type': type };
  const body = await found.text();
  assert.equal(
    (await registry.publish(repository, `manifests/${tag}`, { method: 'PUT', headers, body })).status,
    201,
  );
}
