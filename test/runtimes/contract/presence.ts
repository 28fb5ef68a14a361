import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { waitUntil } from '../../sandbox/wait-until.ts';
import type { TestedRuntime } from '../tested-runtimes.ts';
import { endpoint, never, startDaemon, startScene } from './scene.ts';

const limits = { timeout: 60_000 };

/** What a runtime says of itself and of its images. */
export function tellsWhatIsThere(tested: TestedRuntime): void {
  const { capabilities } = tested;

  test('it says what it is and can, where it is, and where its images are', limits, async t => {
    const { nodeRoot, connect } = await startDaemon(t, tested);
    const runtime = await connect();
    assert.equal(runtime.name, tested.name);
    assert.match(runtime.version, /^\d+\.\d+/);
    assert.equal(runtime.endpoint, endpoint);
    assert.equal(runtime.progress !== undefined, capabilities.progress !== 'none');
    assert.equal(runtime.pins !== undefined, capabilities.pins);
    assert.equal(runtime.watchDeletions !== undefined, capabilities.watchDeletions);
    assert.equal(await runtime.hasPods(never), false);
    assert.deepEqual(await runtime.listImages(never), new Map());
    const directory = (await runtime.imageDirectory(never)) ?? '';
    assert.ok(directory.startsWith(tested.imageDirectory), directory);
    assert.ok((await stat(join(nodeRoot, directory))).isDirectory());
  });

  test('an image is listed by its tag and by its digest, however it was pulled', limits, async t => {
    const { registry, runtime, publish, pull } = await startScene(t, tested);
    const byTag = await publish('team-a/by-tag', [2_000, 1_000]);
    const byDigest = await publish('team-a/by-digest', [1_000]);
    const digestName = (repository: string, digest: string) => `${registry.host}/${repository}@${digest}`;
    const names = {
      byTag: [byTag.reference, digestName('team-a/by-tag', byTag.digest)],
      byDigest: [digestName('team-a/by-digest', byDigest.digest)],
    };
    for (const name of [byTag.reference, ...names.byDigest]) await pull(name);
    const images = await runtime.listImages(never);
    assert.deepEqual([...images.keys()].sort(), [...names.byTag, ...names.byDigest].sort());
    for (const { id, isPinned } of images.values()) {
      assert.match(id, /^sha256:[0-9a-f]{64}$/);
      assert.equal(isPinned, false);
    }
    assert.equal(new Set(names.byTag.map(name => images.get(name)?.id)).size, 1);
    assert.equal(new Set([...images.values()].map(({ id }) => id)).size, 2);
  });

  test('names are in their normal form, also where the runtime shortens them', limits, async t => {
    const { runtime, daemon, publish, pull } = await startScene(t, tested);
    const { reference } = await publish('team-a/api', [1_000]);
    await pull(reference);
    const repositories = ['docker.io/library/nginx', 'docker.io/team/app', 'registry.test:5000/deep/er/app'];
    for (const repository of repositories) await daemon.tag(reference, repository, 'v1.27');
    const names = [reference, ...repositories.map(repository => `${repository}:v1.27`)];
    const missing = async () => {
      const images = await runtime.listImages(never);
      return names.filter(name => images.get(name)?.id !== images.get(reference)?.id);
    };
    await waitUntil(async () => (await missing()).length === 0, {
      what: `all names of the image (${await missing()} at first)`,
      timeoutMs: 5_000,
    });
  });

  test('a tag that was moved leads to the image that was pulled last', limits, async t => {
    const { runtime, publish, pull } = await startScene(t, tested);
    const { reference } = await publish('team-a/api', [1_000]);
    await pull(reference);
    const before = (await runtime.listImages(never)).get(reference);
    const moved = await publish('team-a/api', [2_000]);
    await pull(reference);
    const images = await runtime.listImages(never);
    assert.notEqual(images.get(reference)?.id, before?.id);
    const digestName = `${reference.replace(/:v1$/, '')}@${moved.digest}`;
    assert.equal(images.get(reference)?.id, images.get(digestName)?.id);
  });

  test('an image that is deleted is gone from the list, and told if the runtime can', limits, async t => {
    const { runtime, daemon, publish, pull } = await startScene(t, tested);
    const { reference } = await publish('team-a/api', [1_000]);
    await pull(reference);
    const images = await runtime.listImages(never);
    const end = new AbortController();
    let told = 0;
    const watching = runtime.watchDeletions?.(() => void told++, end.signal);
    watching?.catch(() => {}); // it ends with the signal
    await daemon.delete(images.get(reference)?.id ?? '', [...images.keys()]);
    await waitUntil(async () => (await runtime.listImages(never)).size === 0, {
      what: 'the list to be empty',
      timeoutMs: 5_000,
    });
    if (capabilities.watchDeletions)
      await waitUntil(() => told > 0, { what: 'the deletion to be told', timeoutMs: 5_000 });
    end.abort();
    await watching?.catch(() => {});
  });
}
