import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { measureDisk } from '../../agent/images/disk.ts';
import { findReasons } from '../../agent/status/readiness.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { publishImage } from '../sandbox/images.ts';
import { startSandboxNode } from '../sandbox/sandbox-node.ts';
import { mountSmallDisk } from '../sandbox/small-disk.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { board } from '../status/boards.ts';
import { configOf, startFlow } from './flows.ts';

const limits = { timeout: 120_000 };
const mb = 1_000_000;

/** A node whose containerd keeps everything on a file system of 200 MB, which is none of the rest of the node. */
async function startSmallNode(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const disk = await mountSmallDisk(t, join(directory, 'node/var'), 200 * mb);
  const users = [{ name: 'team-a', password: 'a-word', repositories: ['team-a/'] }];
  const node = await startSandboxNode({ directory, users });
  cleanUp(t, () => node.stop());
  const publish = async (name: string, bytes: number) =>
    (await publishImage(node.registry, { repository: `team-a/${name}`, tag: 'v1', layers: [bytes] }))
      .reference;
  return { node, disk, publish };
}

test(
  'pulls are cancelled when room gets short, nothing starts until there is some, and then all goes on',
  limits,
  async t => {
    const { node, disk, publish } = await startSmallNode(t);
    const images = [await publish('one', 20 * mb), await publish('two', 20 * mb), await publish('small', mb)];
    const [before, keepFree, rate, filledTo] = [disk.free(), 60 * mb, 4 * mb, 40 * mb];
    node.registry.limit(rate);
    const { flow, login, image, changes, until } = startFlow(t, node);
    const config = configOf(images, { concurrency: 2, resync: '1s' }, keepFree);
    flow.setConfig(config);
    login();
    const bytes = (number: number) => image(number)?.bytesDone ?? 0;
    await until('both pulls to get bytes', () => bytes(0) > mb && bytes(1) > mb);
    assert.match(flow.state.disk?.path ?? '', /^\/var\/lib\/containerd\/io\.containerd\.snapshotter/);

    // 1. Room gets short: both are cancelled, and readiness says why.
    await disk.fillTo(filledTo);
    const [filledAt, lowest] = [performance.now(), disk.watch()];
    const waits = ({ state, failure }: (typeof changes)[number]) =>
      state === 'waiting' && failure?.kind === 'disk';
    await until('both to be cancelled', () => flow.state.images.filter(waits).length === 2);
    const took = performance.now() - filledAt;
    assert.ok(took < 2_500, `${took} ms`);
    const room = /\d\d\.\d MB are free on the file system of \/var\/lib\/.*, 60\.0 MB are to be kept free/;
    assert.match(image(0)?.failure?.message ?? '', room);
    const [reason] = findReasons(board({ images: flow.state }));
    assert.match(reason ?? '', new RegExp(`^nothing is pulled: ${room.source}`));

    // 2. Whatever happens, nothing starts. containerd frees by itself what it had of the cancelled ones.
    await until('containerd to free it', () => disk.free() > filledTo - mb);
    login('another-word');
    flow.setConfig({ ...config });
    login();
    const looks = new Set<unknown>();
    await until('some more looks', () => looks.add(flow.state.disk).size > 4);
    assert.deepEqual(
      flow.state.images.map(({ attempts }) => attempts),
      [1, 1, 0],
    );
    assert.doesNotMatch(await node.runtime.ctr('content', 'active'), /sha256/);
    assert.equal(await node.runtime.ctr('leases', 'ls', '-q'), '');
    assert.ok(
      lowest() > filledTo - 1.5 * rate,
      `${lowest()}: a second of download, and half a one to end it`,
    );

    // 3. There is room: all goes on by itself.
    node.registry.limit(undefined);
    await disk.empty();
    await until('everything', () => flow.state.images.every(({ state }) => state === 'present'));
    assert.deepEqual(findReasons(board({ images: flow.state })), []);
    assert.ok(before - disk.free() < 100 * mb, 'nothing of the cancelled pulls is left');
  },
);

test('an image for which there is no room is tried now and then, and holds up no other', limits, async t => {
  const { node, disk, publish } = await startSmallNode(t);
  const images = [await publish('huge', 40 * mb), await publish('small', mb)];
  const [keepFree, rate] = [60 * mb, 5 * mb];
  await disk.fillTo(keepFree + 15 * mb);
  node.registry.limit(rate);
  const { flow, login, image, changes, until } = startFlow(t, node);
  const retry = { initial: '3s', max: '3s' };
  flow.setConfig(configOf(images, { concurrency: 1, resync: '1h', retry }, keepFree));
  login();
  const lowest = disk.watch();
  const huge = (wantedState: string, number: number) =>
    changes.find(({ wanted, state, attempts }) => {
      return wanted.image === images[0] && state === wantedState && attempts === number;
    });
  await until('another attempt', () => huge('pulling', 3) !== undefined, 40_000);
  for (const number of [1, 2]) {
    const [due, next] = [huge('waiting', number)?.nextAttemptAt, huge('pulling', number + 1)?.startedAt];
    assert.ok(due && next && due <= next, `${number}: due ${due?.toJSON()}, and not ${next?.toJSON()}`);
  }
  await until('the other one', () => image(1)?.state === 'present');
  assert.equal(image(0)?.warm, false);
  assert.ok(lowest() > keepFree - 1.5 * rate, `${lowest()}: a second of download, and half a one to end it`);

  node.registry.limit(undefined);
  await disk.empty();
  await until('the image', () => image(0)?.state === 'present');
});

test(
  'where the images are not mounted, the root of the container tells the room: its layer lies with them',
  limits,
  async t => {
    const directory = await temporaryDirectory(t);
    const disk = await mountSmallDisk(t, join(directory, 'images'), 50 * mb);
    const [root, lower, upper, work] = ['root', 'lower', 'images/upper', 'images/work'].map(name =>
      join(directory, name),
    );
    for (const path of [root, lower, upper, work]) await mkdir(path ?? '', { recursive: true });
    await mkdir(`${lower}/host`);
    const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    await promisify(execFile)('mount', ['-t', 'overlay', '-o', layers, 'none', root ?? '']);
    cleanUp(t, () => promisify(execFile)('umount', [root ?? '']));
    await disk.fillTo(7 * mb);
    const space = await measureDisk('/var/lib/containerd/io.containerd.x', `${root}/host`, { share: 0.5 });
    assert.equal(space.path, '/');
    assert.equal(space.freeBytes, disk.free());
    assert.ok(space.keepFreeBytes < 25 * mb && space.keepFreeBytes > 15 * mb, `${space.keepFreeBytes}`);
  },
);
