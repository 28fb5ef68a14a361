import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { queryObjects } from 'node:v8';
import { Code, ConnectError } from '@connectrpc/connect';
import { type SmallRuntimeAnswers, serveRuntime } from '../runtimes/small-runtime.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { publishImage } from '../sandbox/images.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';
import { configOf, startFlow, startNode } from './flows.ts';

const limits = { timeout: 90_000 };

/** A node with so many images of so many bytes in its registry, and a flow with their list. */
async function startWithImages(t: TestContext, count: number, bytes: number) {
  const node = await startNode(t);
  const images: string[] = [];
  for (let number = 0; number < count; number++) {
    const recipe = { repository: `team-a/image-${number}`, tag: 'v1', layers: [bytes] };
    images.push((await publishImage(node.registry, recipe)).reference);
  }
  const started = startFlow(t, node);
  const { flow, until, changes } = started;
  const all = (state: string) => flow.state.images.every(image => image.state === state);
  const pulling = () => flow.state.images.filter(({ state }) => state === 'pulling').length;
  const isLost = () => flow.state.runtime.state === 'unavailable' && pulling() === 0;
  /** The most pulls that were ever under way at a time. */
  const mostAtOnce = () => {
    const now = new Set<string>();
    return Math.max(
      ...changes.map(({ wanted, state }) => {
        now[state === 'pulling' ? 'add' : 'delete'](wanted.image);
        return now.size;
      }),
    );
  };
  const untilAll = (state: string) => until(`all to be ${state}`, () => all(state), 30_000);
  return { ...started, node, images, pulling, isLost, mostAtOnce, untilAll };
}

test('a containerd that hangs is told, and its pulls go on when it does', limits, async t => {
  const { node, images, flow, login, image, until, isLost, mostAtOnce, untilAll } = await startWithImages(
    t,
    2,
    4_000_000,
  );
  node.registry.limit(1_000_000);
  flow.setConfig(configOf(images, { concurrency: 1 }));
  login();
  await until('some bytes', () => (image()?.bytesDone ?? 0) > 500_000);
  const stoppedAt = performance.now();
  await node.runtime.kill('SIGSTOP');
  await until('the silence to be noticed', isLost, 20_000);
  const took = performance.now() - stoppedAt;
  assert.ok(took > 7_000 && took < 15_000, `${took} ms`);
  assert.match(
    flow.state.runtime.problem ?? '',
    /the runtime does not answer any more; look whether it hangs/,
  );
  assert.equal(image()?.failure?.kind, 'runtime');
  await until('a new connection to get no answer', () =>
    /what listens there does not answer/.test(flow.state.runtime.problem ?? ''),
  );
  await node.runtime.kill('SIGCONT');
  node.registry.limit(undefined);
  await untilAll('present');
  assert.deepEqual([flow.state.runtime.state, mostAtOnce()], ['connected', 1]);
});

test('a containerd that stops for a moment only is no loss', limits, async t => {
  const { node, images, flow, changes, login, image, until, untilAll } = await startWithImages(
    t,
    1,
    3_000_000,
  );
  node.registry.limit(1_000_000);
  flow.setConfig(configOf(images));
  login();
  await until('some bytes', () => (image()?.bytesDone ?? 0) > 500_000);
  await node.runtime.kill('SIGSTOP');
  await delay(4_000); // shorter than the agent's patience; there is nothing to be seen meanwhile
  await node.runtime.kill('SIGCONT');
  await untilAll('present');
  assert.deepEqual(
    changes.filter(({ failure }) => failure),
    [],
  );
});

test('a containerd that is killed again and again loses no image and no slot', limits, async t => {
  const { node, images, flow, login, until, pulling, isLost, mostAtOnce, untilAll } = await startWithImages(
    t,
    6,
    1_500_000,
  );
  node.registry.limit(2_000_000);
  flow.setConfig(configOf(images, { concurrency: 3, perRegistry: 3 }));
  login();
  for (let time = 0; time < 3; time++) {
    await until('three pulls', () => pulling() === 3);
    // The second time it is not even killed by what can be waited for.
    if (time === 1) await node.runtime.kill('SIGSTOP');
    await node.runtime.kill('SIGKILL');
    await until('the loss', isLost);
    await node.runtime.start();
  }
  node.registry.limit(undefined);
  await untilAll('present');
  assert.equal(mostAtOnce(), 3);
  const list = await node.runtime.ctr('images', 'ls', '-q');
  for (const image of images) assert.ok(list.includes(image), image);
});

test('a directory that is not there yet, and a socket that goes and comes', limits, async t => {
  const { node, images, flow, login, image, until, untilAll, changes } = await startWithImages(
    t,
    1,
    2_000_000,
  );
  const directory = join(node.hostRoot, 'run/containerd');
  await node.runtime.stop();
  await rm(directory, { recursive: true });
  flow.setConfig(configOf(images, { resync: '1s' }));
  login();
  await until('the complaint', () => /there is no socket at \/run/.test(flow.state.runtime.problem ?? ''));
  node.registry.limit(1_000_000);
  await node.runtime.start();

  // Without its socket a connection goes on; so does the pull on it.
  await until('the pull', () => (image()?.bytesDone ?? 0) > 0);
  await rm(node.runtime.socket);
  await untilAll('present');
  assert.equal(image()?.attempts, 1);
  assert.equal(flow.state.runtime.state, 'connected');

  // It comes again in a new directory, with an image less.
  node.registry.limit(undefined);
  await node.runtime.stop();
  await until('the loss', () => flow.state.runtime.state === 'unavailable');
  await rm(directory, { recursive: true });
  await node.runtime.start();
  await until('the new connection', () => flow.state.runtime.state === 'connected');
  changes.length = 0;
  await node.runtime.ctr('images', 'rm', images[0] ?? '');
  await until('the image to be missed', () => changes.some(({ warm }) => !warm));
  await untilAll('present');
});

test('a runtime that comes back as another version is used as that', limits, async t => {
  const hostRoot = await temporaryDirectory(t);
  const version = (runtimeVersion: string) => () => ({ runtimeName: 'small', runtimeVersion });
  const pulls: string[] = [];
  const end = await serveRuntime(t, join(hostRoot, 'socket'), {
    version: version('1.0'),
    pullImage: () => new Promise(() => {}),
  });
  const { flow, login, image, until } = startFlow(
    t,
    { hostRoot, registry: { host: 'r.io' } },
    'unix:///socket',
  );
  flow.setConfig(configOf(['r.io/a:1']));
  login();
  await until('the pull', () => image()?.state === 'pulling');
  assert.equal(flow.state.runtime.version, '1.0');
  end();
  await until('the loss', () => flow.state.runtime.state === 'unavailable' && image()?.state === 'waiting');
  await serveRuntime(t, join(hostRoot, 'socket'), {
    version: version('2.0'),
    pullImage: ({ image }) => {
      pulls.push(image?.image ?? '');
      return {};
    },
  });
  await until('the image', () => image()?.state === 'present');
  assert.deepEqual([flow.state.runtime.version, pulls], ['2.0', ['r.io/a:1']]);
});

/** A flow on a small runtime, and how many connections it made. */
async function startOnSmallRuntime(t: TestContext, answers: SmallRuntimeAnswers) {
  const hostRoot = await temporaryDirectory(t);
  let connections = 0;
  await serveRuntime(t, join(hostRoot, 'socket'), {
    ...answers,
    imageFsInfo: () => {
      connections++;
      return { imageFilesystems: [{ fsId: { mountpoint: '/' } }] };
    },
  });
  const flow = startFlow(t, { hostRoot, registry: { host: 'r.io' } }, 'unix:///socket');
  return { ...flow, connections: () => connections };
}

test('a list that is slow or refused breaks off no pull, and is asked for again', limits, async t => {
  let [lists, refusals] = [0, 0];
  let endPull = () => {};
  const { flow, login, image, until, changes, connections } = await startOnSmallRuntime(t, {
    listImages: async () => {
      lists++;
      if (lists === 2)
        await delay(15_000); // longer than a runtime that hangs is borne with
      else if (lists > 2 && refusals < 3) {
        refusals++;
        throw new ConnectError('too busy', Code.ResourceExhausted);
      }
      return {};
    },
    pullImage: () =>
      new Promise(resolve => {
        endPull = () => resolve({});
      }),
  });
  flow.setConfig(configOf(['r.io/a:1'], { resync: '1s' }));
  login();
  await until('the slow list', () => image()?.state === 'pulling' && lists === 2);
  await until(
    'the complaint',
    () => /listing .* runtime: too busy/.test(flow.state.runtime.problem ?? ''),
    20_000,
  );
  await until('a list again', () => flow.state.runtime.state === 'connected');
  assert.equal(image()?.state, 'pulling');
  endPull();
  await until('the image', () => image()?.state === 'present');
  assert.deepEqual([connections(), refusals, image()?.attempts], [1, 3, 1]);
  assert.ok(!changes.some(({ failure }) => failure));
});

/** What is held by this process, after whatever nobody holds any more is collected, and by containerd. */
async function countHeld(containerd: number | undefined) {
  const resources = process.getActiveResourcesInfo();
  const objects = (type: object) => queryObjects(type as new () => object, { format: 'count' });
  const files = async (pid: number | string | undefined) => (await readdir(`/proc/${pid}/fd`)).length;
  return {
    // Those of HTTP/2 are Duplex streams, too.
    streams: objects(Duplex),
    controllers: objects(AbortController),
    timers: resources.filter(name => name === 'Timeout').length,
    resources: resources.length,
    files: await files('self'),
    filesOfContainerd: await files(containerd),
  };
}

/** The same when it does not change any more: a call that was left in the middle keeps its timer for 5 seconds. */
async function heldAtRest(containerd: number | undefined) {
  const counts = [await countHeld(containerd)];
  const isSame = async () => {
    const now = await countHeld(containerd);
    const last = counts.push(now) > 2 ? counts.at(-2) : undefined;
    return now.timers === last?.timers && now.streams === last.streams;
  };
  await waitUntil(isSame, { what: 'nothing to change any more', timeoutMs: 60_000, intervalMs: 6_000 });
  return Object.entries(counts.at(-1) ?? {});
}

/** A registry that takes connections and never answers. */
async function startSilentRegistry(t: TestContext) {
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket.resume().on('error', () => socket.destroy()));
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  const host = `127.0.0.1:${typeof address === 'object' && address?.port}`;
  return { host, connections: () => sockets.size };
}

test('a thousand cancelled pulls leave no stream, timer, file or slot behind', limits, async t => {
  const node = await startNode(t);
  const silent = await startSilentRegistry(t);
  const api = await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
  const { flow, login, image, changes, until } = startFlow(t, node);
  const names = Array.from({ length: 50 }, (_, number) => `${silent.host}/image-${number}:v1`);
  const pulls = { concurrency: 50, perRegistry: 50, resync: '1h' };
  login();
  const cancelFifty = async () => {
    flow.setConfig(configOf(names, pulls));
    // They can all be under way only if the slots of those before are free.
    await until('fifty pulls', () => silent.connections() === 50);
    flow.setConfig(configOf([], pulls));
    await until('their end', () => silent.connections() === 0);
    changes.length = 0;
  };
  // Some first, because what is used for the first time may stay.
  for (let round = 0; round < 4; round++) await cancelFifty();
  const before = await heldAtRest(node.runtime.pid());
  const heap = process.memoryUsage().heapUsed;
  for (let round = 0; round < 20; round++) await cancelFifty();
  const after = await heldAtRest(node.runtime.pid());
  for (const [index, [what, count]] of after.entries())
    assert.ok(count <= (before[index]?.[1] ?? 0) + 3, `${what}: ${before}, and then ${after}`);
  const grown = process.memoryUsage().heapUsed - heap;
  assert.ok(grown < 5e6, `${grown} bytes`);

  flow.setConfig(configOf([api.reference], { concurrency: 1 }));
  await until('the image', () => image()?.state === 'present');
});
