import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import type { MeasuredPull } from '../../../agent/runtimes/runtime.ts';
import { type Layer, makeLayer } from '../../sandbox/image-layer.ts';
import { waitUntil } from '../../sandbox/wait-until.ts';
import { never, startDaemon, underWay } from '../contract/scene.ts';
import { silence } from '../registry-answers.ts';
import { containerd } from '../tested-runtimes.ts';
import { halved, held, serveImages, sizeOf, type TaggedImage } from './tagged-images.ts';

const limits = { timeout: 60_000 };

/** A containerd of its own, a registry with these images, and pulls from there. */
async function start(t: TestContext, images: Readonly<Record<string, TaggedImage>>) {
  const [node, host] = await Promise.all([startDaemon(t, containerd), serveImages(t, images)]);
  const runtime = await node.connect();
  const pull = (image: string, signal = never) => {
    const one = underWay(`${host}/${image}`);
    const done = runtime.pull({ name: one.name }, signal);
    done.catch(() => {}); // looked at where it matters
    return { one, done };
  };
  const measure = async (...pulls: readonly ReturnType<typeof pull>[]) => {
    const all = pulls.map(({ one }) => one);
    const progress = await runtime.progress?.(all, never);
    return all.map(({ name }) => progress?.images.get(name));
  };
  return { node, pull, measure };
}

const until = (what: string, condition: () => Promise<boolean>) =>
  waitUntil(condition, { what, timeoutMs: 15_000 });

/** Whether it is of this image: its layers and a little for the config. */
function isOf(image: TaggedImage, measured: MeasuredPull | undefined): boolean {
  const more = (measured?.bytesTotal ?? 0) - sizeOf(image);
  return more > 0 && more < 2_000;
}

const layer = (seed: string, size: number) => makeLayer({ seed, size, compression: 'gzip' });

/** A layer whose unpacking takes a while. */
async function slowLayer(files: number): Promise<Layer> {
  const archive = pack();
  for (let file = 0; file < files; file++)
    archive.entry({ name: `${file % 100}/${file}`, mtime: new Date(0) }, 'x');
  archive.finalize();
  const tar = await buffer(archive);
  const content = gzipSync(tar);
  const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';
  return { mediaType, content, digest: sha256(content), diffId: sha256(tar) };
}

test('a layer that another repository brought counts as there', limits, async t => {
  const base = await layer('base', 2_000_000);
  const app = { layers: [base, await layer('app', 4_000_000)], lastLayer: silence };
  const { pull, measure } = await start(t, { 'base:1': { layers: [base] }, 'app:1': app });
  await pull('base:1').done;
  const one = pull('app:1');
  await until('its size', async () => isOf(app, (await measure(one))[0]));
  await until('the base', async () => ((await measure(one))[0]?.bytesDone ?? 0) >= base.content.length);
  const [measured] = await measure(one);
  assert.ok((measured?.bytesDone ?? 0) < base.content.length + 2_000);
  // The registry has taken the request for the other layer and sends nothing.
  assert.equal(measured?.awaitsBytes, true);
});

test('while layers are only unpacked no byte is awaited, whichever of them are missing', limits, async t => {
  const base = await layer('base', 500_000);
  const [app, other] = [{ layers: [base, await slowLayer(10_000)] }, { layers: [base] }];
  const { node, pull, measure } = await start(t, { 'base:1': other, 'app:1': app });
  await pull('base:1').done;
  // As `discard_unpacked_layers` of containerd's configuration does.
  const ctr = ['--address', node.daemon.socket, '--namespace', 'k8s.io'];
  await promisify(execFile)('ctr', [...ctr, 'content', 'rm', base.digest]);
  const one = pull('app:1');
  const seen: MeasuredPull[] = [];
  let isOver = false;
  void one.done.then(() => {
    isOver = true;
  });
  await until('the end', async () => {
    const [measured] = await measure(one);
    if (measured && !isOver) seen.push(measured);
    return isOver;
  });
  const isUnpacked = ({ awaitsBytes, bytesDone, bytesTotal }: MeasuredPull) =>
    awaitsBytes === false && bytesDone === (bytesTotal ?? 0) - base.content.length;
  assert.ok(seen.filter(isUnpacked).length > 3, JSON.stringify(seen));
});

test('of two tags that are pulled at once neither passes for the other', limits, async t => {
  const [bytes, end] = [halved(), held()];
  const a = { layers: [await layer('a', 4_000_000)], lastLayer: bytes.answer };
  const b = { layers: [await layer('b', 1_000_000)], lastLayer: end.answer };
  const { pull, measure } = await start(t, { 'app:a': a, 'app:b': b });
  const pulls = [pull('app:a'), pull('app:b')];
  const untold = { bytesDone: 0, bytesTotal: null };
  await until('bytes', async () => (await measure(...pulls)).every(one => one?.awaitsBytes === false));
  await until('no byte any more', async () => (await measure(...pulls)).every(one => one?.awaitsBytes));
  for (const one of await measure(...pulls)) assert.deepEqual(one, { ...untold, awaitsBytes: true });
  end.release();
  await pulls[1]?.done;
  const measured = await measure(...pulls);
  assert.ok(isOf(a, measured[0]) && isOf(b, measured[1]), JSON.stringify(measured));
  assert.equal(measured[1]?.bytesDone, measured[1]?.bytesTotal);
  assert.ok((measured[0]?.bytesDone ?? 0) > 1_000_000 && measured[0]?.awaitsBytes, JSON.stringify(measured));
  bytes.release();
  await pulls[0]?.done;
});

test('a pull that has no manifest yet is not told that of another tag', limits, async t => {
  const manifest = held();
  const a = { layers: [await layer('a', 4_000_000)], lastLayer: silence, manifest: manifest.answer };
  const b = { layers: [await layer('b', 1_000_000)] };
  const { pull, measure } = await start(t, { 'app:a': a, 'app:b': b });
  const pulls = [pull('app:a'), pull('app:b')];
  await pulls[1]?.done;
  for (let round = 0; round < 20; round++) {
    const measured = await measure(...pulls);
    assert.ok(measured[0] === undefined && isOf(b, measured[1]), JSON.stringify(measured));
  }
  manifest.release();
  await until('its own', async () => isOf(a, (await measure(...pulls))[0]));
});

test('a pull that is tried again has its manifest once it comes to it again', limits, async t => {
  const manifest = held();
  let attempts = 0;
  const app: TaggedImage = {
    layers: [await layer('a', 1_000_000)],
    lastLayer: silence,
    manifest: (response, content) => {
      if (attempts > 1) manifest.answer(response, content);
      else response.setHeader('content-length', content.length).end(content);
    },
  };
  const { pull, measure } = await start(t, { 'app:a': app });
  const cancel = new AbortController();
  attempts++;
  const first = pull('app:a', cancel.signal);
  await until('its size', async () => isOf(app, (await measure(first))[0]));
  cancel.abort();
  await assert.rejects(first.done);
  attempts++;
  const second = pull('app:a');
  for (let round = 0; round < 20; round++) assert.deepEqual(await measure(second), [undefined]);
  manifest.release();
  await until('its size', async () => isOf(app, (await measure(second))[0]));
});
