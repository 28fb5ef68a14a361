import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { type SmallRuntimeAnswers, serveRuntime } from '../runtimes/small-runtime.ts';
import { publishImage } from '../sandbox/images.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { configOf, startFlow, startNode } from './flows.ts';

const limits = { timeout: 60_000 };

test('images are pulled with the credential that matches, and told to be there', limits, async t => {
  const node = await startNode(t);
  const api = await publishImage(node.registry, {
    repository: 'team-a/api',
    tag: 'v1',
    layers: [1_000, 30_000],
  });
  const bill = await publishImage(node.registry, { repository: 'team-b/bill', tag: 'v1', layers: [1_000] });
  const { flow, login, image, until } = startFlow(t, node);
  flow.setConfig(configOf([api.reference, bill.reference]));
  await until('the connection', () => flow.state.runtime.state === 'connected');
  assert.deepEqual([image()?.state, image()?.attempts], ['waiting', 0], 'not before there are credentials');
  login();
  await until('team-a', () => image(0)?.state === 'present');
  await until('team-b', () => image(1)?.failure?.kind === 'auth');
  assert.match(image(1)?.failure?.message ?? '', /insufficient_scope|denied/);
  assert.ok((image(0)?.bytesTotal ?? 0) >= api.bytes);
  assert.equal(image(0)?.bytesDone, image(0)?.bytesTotal);
  login('b-word', 'team-b');
  await until('team-b with the right credential', () => image(1)?.state === 'present', 3_000);
  assert.match(await node.runtime.ctr('images', 'ls', '-q'), /team-b\/bill:v1/);
});

test('an image that somebody deletes is back within seconds, because containerd tells', limits, async t => {
  const node = await startNode(t);
  const api = await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
  const { flow, changes, login, image, until } = startFlow(t, node);
  flow.setConfig(configOf([api.reference], { resync: '1h' }));
  login();
  await until('the image', () => image()?.state === 'present');
  assert.deepEqual(flow.state.runtime.capabilities, { progress: true, pins: true, deletions: true });
  for (let time = 0; time < 3; time++) {
    changes.length = 0;
    await node.runtime.ctr('images', 'rm', api.reference);
    await until(
      'it to be missed',
      () => changes.some(({ state, warm }) => state === 'waiting' && !warm),
      3_000,
    );
    await until('it to be back', () => image()?.state === 'present', 3_000);
  }
});

test('what is there needs no registry, and what was deleted comes back', limits, async t => {
  const node = await startNode(t);
  const api = await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
  const first = startFlow(t, node);
  first.flow.setConfig(configOf([api.reference], { resync: '1s' }));
  first.login();
  await first.until('the image', () => first.image()?.state === 'present');
  await node.runtime.ctr('images', 'rm', api.reference);
  await first.until('it to be missed', () =>
    first.changes.some(({ state, warm }) => state === 'waiting' && !warm),
  );
  await first.until('it to be back', () => first.image()?.state === 'present');

  await node.registry.stop();
  const second = startFlow(t, node);
  second.flow.setConfig(configOf([api.reference]));
  second.login();
  await second.until('the image', () => second.image()?.state === 'present');
  assert.equal(second.image()?.attempts, 0);
});

test('progress grows and ends at the total', limits, async t => {
  const node = await startNode(t);
  const big = await publishImage(node.registry, {
    repository: 'team-a/big',
    tag: 'v1',
    layers: [9_000_000, 3_000_000],
  });
  await node.registry.limit(4_000_000);
  const { flow, login, image, changes, until } = startFlow(t, node);
  flow.setConfig(configOf([big.reference]));
  login();
  await until('the image', () => image()?.state === 'present', 30_000);
  const done = changes.filter(({ bytesTotal }) => bytesTotal !== null).map(({ bytesDone }) => bytesDone);
  assert.deepEqual(
    done,
    done.toSorted((a, b) => a - b),
  );
  assert.ok(new Set(done).size >= 3, `${done}`);
  assert.ok((done.at(-1) ?? 0) >= big.bytes);
  assert.equal(done.at(-1), image()?.bytesTotal);
});

test('a containerd that is killed in mid-pull is waited for, and the pull goes on', limits, async t => {
  const node = await startNode(t);
  const big = await publishImage(node.registry, { repository: 'team-a/big', tag: 'v1', layers: [8_000_000] });
  await node.registry.limit(2_000_000);
  const { flow, login, image, until } = startFlow(t, node);
  flow.setConfig(configOf([big.reference]));
  login();
  await until('some bytes', () => (image()?.bytesDone ?? 0) > 1_000_000);
  await node.runtime.kill('SIGKILL');
  await until('the loss', () => flow.state.runtime.state === 'unavailable' && image()?.state === 'waiting');
  assert.equal(image()?.failure?.kind, 'runtime');
  await node.registry.limit(undefined);
  await node.runtime.start();
  await until('the image', () => image()?.state === 'present');
  assert.equal(flow.state.runtime.state, 'connected');
});

test('a containerd that is not there yet is waited for', limits, async t => {
  const node = await startNode(t);
  const api = await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
  await node.runtime.stop();
  const { flow, login, image, until } = startFlow(t, node);
  flow.setConfig(configOf([api.reference]));
  login();
  await until('the complaint', () => /container runtime/.test(flow.state.runtime.problem ?? ''));
  assert.equal(image()?.state, 'waiting');
  await node.runtime.start();
  await until('the image', () => image()?.state === 'present');
});

test(
  'with too little room on the disk nothing starts, and it goes on when there is enough',
  limits,
  async t => {
    const node = await startNode(t);
    const api = await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
    const { flow, login, image, changes, until } = startFlow(t, node);
    flow.setConfig(configOf([api.reference], {}, '1000Ti'));
    login();
    await until('the measure', () => flow.state.disk !== null && flow.state.runtime.state === 'connected');
    assert.ok(!changes.some(({ state }) => state === 'pulling'));
    assert.ok((flow.state.disk?.freeBytes ?? 0) < (flow.state.disk?.keepFreeBytes ?? 0));
    flow.setConfig(configOf([api.reference]));
    await until('the image', () => image()?.state === 'present');
  },
);

test(
  'under too much I/O pressure no pull starts, what runs goes on, and the rest follows when it is calm',
  limits,
  async t => {
    const node = await startNode(t);
    const publish = (name: string, bytes: number) =>
      publishImage(node.registry, { repository: `team-a/${name}`, tag: 'v1', layers: [bytes] });
    const [big, small] = [await publish('big', 1_500_000), await publish('small', 1_000)];
    let pressure = 0.1;
    const { flow, login, image, until } = startFlow(t, node, 'auto', {
      measureIoPressure: async () => pressure,
    });
    node.registry.limit(500_000);
    flow.setConfig(configOf([big.reference, small.reference], { concurrency: 1, maxIoPressure: '40%' }));
    login();
    await until('the first pull', () => image(0)?.state === 'pulling');
    pressure = 0.8;
    await until('the pressure', () => flow.state.ioPressure?.share === 0.8);
    await until('the end of what ran', () => image(0)?.state === 'present');
    assert.deepEqual([image(1)?.state, image(1)?.attempts], ['waiting', 0]);
    pressure = 0.4;
    await until('the rest', () => image(1)?.state === 'present');
    assert.equal(flow.state.ioPressure, null);
  },
);

test('what left the list is no longer pulled, and what came onto it is', limits, async t => {
  const node = await startNode(t);
  const big = await publishImage(node.registry, { repository: 'team-a/big', tag: 'v1', layers: [5_000_000] });
  const api = await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
  await node.registry.limit(0);
  const { flow, login, image, until } = startFlow(t, node);
  flow.setConfig(configOf([big.reference], { concurrency: 1 }));
  login();
  await until('the pull', () => image()?.state === 'pulling');
  flow.setConfig(configOf([api.reference], { concurrency: 1 }));
  await node.registry.limit(undefined);
  await until(
    'the other image',
    () => image()?.wanted.image === api.reference && image()?.state === 'present',
  );
  assert.doesNotMatch(await node.runtime.ctr('images', 'ls', '-q'), /team-a\/big/);
});

test('a pull that takes too long is a timeout, and is tried again', limits, async t => {
  const node = await startNode(t);
  const api = await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000_000] });
  await node.registry.limit(0);
  const { flow, login, image, changes, until } = startFlow(t, node);
  flow.setConfig(configOf([api.reference], { timeout: '1s' }));
  login();
  await until('the timeout', () => changes.some(({ failure }) => failure?.kind === 'timeout'));
  await node.registry.limit(undefined);
  await until('the image', () => image()?.state === 'present');
});

test('with the runtime none, nothing is pulled and nothing is wrong', limits, async t => {
  const node = await startNode(t);
  const { flow, login, until } = startFlow(t, node, 'none');
  flow.setConfig(configOf(['team-a/api:v1']));
  login();
  await until('the state', () => flow.state.runtime.state === 'none');
  assert.equal(flow.state.images[0]?.state, 'waiting');
});

test('a wrong password waits for the right one and is then pulled at once', limits, async t => {
  const node = await startNode(t);
  const api = await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
  const { flow, login, image, until } = startFlow(t, node);
  flow.setConfig(configOf([api.reference]));
  login('not-the-word');
  await until('the refusal', () => image()?.failure?.kind === 'auth' && image()?.state === 'failed');
  assert.deepEqual([image()?.attempts, image()?.nextAttemptAt], [1, null]);
  login();
  await until('the image', () => image()?.state === 'present', 2_000);
  assert.deepEqual([image()?.attempts, image()?.failure], [2, null]);
});

test(
  'an image that is not in the registry waits, holds up no other, and is found at a resync',
  limits,
  async t => {
    const node = await startNode(t);
    const api = await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
    const missing = api.reference.replace(/v1$/, 'v2');
    const { flow, login, image, changes, until } = startFlow(t, node);
    flow.setConfig(configOf([missing, api.reference], { concurrency: 1 }));
    login();
    await until('the other one', () => image(1)?.state === 'present');
    assert.deepEqual(
      [image(0)?.state, image(0)?.failure?.kind, image(0)?.nextAttemptAt],
      ['failed', 'not-found', null],
    );
    await publishImage(node.registry, { repository: 'team-a/api', tag: 'v2', layers: [2_000] });
    assert.equal(image(0)?.attempts, 1);
    flow.setConfig(configOf([missing, api.reference], { concurrency: 1, resync: '1s' }));
    await until('the image', () => image(0)?.state === 'present');
    const last = changes.findLast(({ wanted }) => wanted.image === missing);
    assert.equal(last?.state, 'present');
  },
);

test('two tags of one image are no stall of each other, however slow it is', limits, async t => {
  const node = await startNode(t);
  const big = await publishImage(node.registry, { repository: 'team-a/big', tag: 'v1', layers: [6_000_000] });
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const found = await node.registry.publish('team-a/big', 'manifests/v1', { headers: { accept: type } });
  const copy = { method: 'PUT', headers: { 'content-type': type }, body: await found.text() };
  assert.equal((await node.registry.publish('team-a/big', 'manifests/v2', copy)).status, 201);
  node.registry.limit(800_000);
  const { flow, login, changes, until } = startFlow(t, node);
  flow.setConfig(configOf([big.reference, big.reference.replace(/v1$/, 'v2')], { stallTimeout: '5s' }));
  login();
  await until('both', () => flow.state.images.every(({ state }) => state === 'present'), 30_000);
  assert.deepEqual(
    changes.filter(({ failure }) => failure),
    [],
  );
});

/** A flow on a runtime that does what the test wants. */
async function startOnSmallRuntime(t: TestContext, answers: SmallRuntimeAnswers) {
  const hostRoot = await temporaryDirectory(t);
  await serveRuntime(t, join(hostRoot, 'socket'), answers);
  return startFlow(t, { hostRoot, registry: { host: 'r.io' } }, 'unix:///socket');
}

test(
  'a runtime that answers but cannot do it is asked about once a second, and not more',
  limits,
  async t => {
    let asked = 0;
    const imageFsInfo = () => {
      asked++;
      throw new ConnectError('not now', Code.Internal);
    };
    const { flow, login, until } = await startOnSmallRuntime(t, { imageFsInfo });
    flow.setConfig(configOf(['r.io/a:1']));
    login();
    const startedAt = Date.now();
    await until('five questions', () => asked >= 5);
    // The config and the credentials were news, for which it looked again at once.
    assert.ok(Date.now() - startedAt > 1_900, `${asked} in ${Date.now() - startedAt} ms`);
    assert.match(flow.state.runtime.problem ?? '', /asking for the image file system .*: not now/);
  },
);

test('a runtime that takes every connection and ends it is tried less and less often', limits, async t => {
  const connected: number[] = [];
  const version = () => {
    connected.push(performance.now());
    return { runtimeName: 'small', runtimeVersion: '1.0' };
  };
  const { flow, login, until } = await startOnSmallRuntime(t, { version, hangsUpAfter: 200 });
  flow.setConfig(configOf(['r.io/a:1']));
  login();
  await until('three connections', () => connected.length >= 3);
  const [first = 0, second = 0, third = 0] = connected.slice(-3);
  assert.ok(third - second > 1.5 * (second - first) && third - second > 2_900, connected.join());
});

test('a list of images that cannot be had is told, and had again when it can', limits, async t => {
  let works = false;
  const listImages = () => {
    if (works) return {};
    throw new ConnectError('not now', Code.Internal);
  };
  const { flow, login, image, until } = await startOnSmallRuntime(t, { listImages });
  flow.setConfig(configOf(['r.io/a:1']));
  login();
  await until('the complaint', () => /listing the images .*: not now/.test(flow.state.runtime.problem ?? ''));
  assert.equal(image()?.attempts, 0, 'nothing is pulled while it is not known what is there');
  works = true;
  await until('the image', () => image()?.state === 'present');
});

test('a config that changes something else does not ask for images that are there', limits, async t => {
  const pulls: string[] = [];
  const present = { images: [{ repoTags: ['r.io/a:latest', 'r.io/b:1'] }] };
  let looks = 0;
  const { flow, login, image, until } = await startOnSmallRuntime(t, {
    listImages: () => {
      looks++;
      return present;
    },
    pullImage: ({ image }) => {
      pulls.push(image?.image ?? '');
      return {};
    },
  });
  flow.setConfig(configOf(['r.io/a', 'r.io/b:1']));
  login();
  await until('the first answer', () => image(0)?.warm === true);
  assert.deepEqual(pulls, ['r.io/a:latest']);
  const before = looks;
  flow.setConfig(configOf(['r.io/a', 'r.io/b:1'], { concurrency: 1 }));
  await until('another look', () => looks > before);
  assert.deepEqual(pulls, ['r.io/a:latest']);
  flow.setConfig(configOf(['r.io/a', 'r.io/b:1'], { resync: '1s' }));
  await until('the resync, which is sooner now', () => pulls.length === 2, 5_000);
});

test('a failure of the runtime while the connection stays is tried again', limits, async t => {
  let fails = 2;
  const pullImage = () => {
    if (fails-- > 0) throw new ConnectError('server is not initialized yet', Code.Unavailable);
    return {};
  };
  const { flow, login, image, changes, until } = await startOnSmallRuntime(t, { pullImage });
  flow.setConfig(configOf(['r.io/a:1']));
  login();
  await until('the image', () => image()?.state === 'present');
  assert.deepEqual(
    changes
      .flatMap(({ failure, state }) => (failure && state === 'waiting' ? [failure.kind] : []))
      .slice(0, 1),
    ['runtime'],
  );
  assert.equal(image()?.attempts, 3);
});

test('no pull starts before a random part of startJitter is over, and then it does', limits, async t => {
  let looks = 0;
  const listImages = () => {
    looks++;
    return {};
  };
  const patient = await startOnSmallRuntime(t, { listImages });
  patient.flow.setConfig(configOf(['r.io/a:1'], { startJitter: '500h', resync: '1s' }));
  patient.login();
  await patient.until('some looks', () => looks >= 2);
  assert.deepEqual([patient.image()?.state, patient.image()?.attempts], ['waiting', 0]);

  const quick = await startOnSmallRuntime(t, {});
  quick.flow.setConfig(configOf(['r.io/a:1'], { startJitter: '1s' }));
  quick.login();
  await quick.until('the image', () => quick.image()?.state === 'present', 4_000);
});
