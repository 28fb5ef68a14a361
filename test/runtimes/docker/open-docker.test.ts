import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { createServer as createHttp2Server } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { Failure } from '../../../agent/base/failure.ts';
import { openDocker } from '../../../agent/runtimes/docker/open-docker.ts';
import { cleanUp } from '../../sandbox/cleanup.ts';
import { temporaryDirectory } from '../../sandbox/temporary.ts';
import { waitUntil } from '../../sandbox/wait-until.ts';
import { serveRuntime } from '../small-runtime.ts';
import { type DockerAnswers, dockerVersion, hang, json, serveDocker, serveOther } from './small-docker.ts';

const limits = { timeout: 20_000 };
const never = new AbortController().signal;

/** Expects that connecting fails with a Failure that says so, and how long that took in milliseconds. */
async function refused(path: string, message: RegExp, signal = never): Promise<number> {
  const asked = performance.now();
  await assert.rejects(openDocker(path, signal), error => {
    assert.ok(error instanceof Failure && error.message.startsWith(`connecting to ${path}: `), `${error}`);
    assert.match(error.message, message);
    assert.ok(error.message.length < 600, error.message);
    return true;
  });
  return performance.now() - asked;
}

test('where no socket is, or nobody listens, that is said', limits, async t => {
  const directory = await temporaryDirectory(t);
  await refused(join(directory, 'none'), /it does not exist; check the path and the mount$/);
  await writeFile(join(directory, 'file'), 'text');
  await refused(join(directory, 'file'), /nothing listens there; check that the path is a socket/);
  await refused(`/${'x'.repeat(200)}`, /longer|too long/);
});

const notDocker =
  /what listens there does not answer as docker does \((?!.*assert).+\); use the socket of docker/;

test('what listens and is no docker is told, and is no crash', limits, async t => {
  const speakers = {
    'an HTTP server of another kind': 'HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone',
    'a page': 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>',
    'an answer of something else': 'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"version":"1"}',
    'a redirection': 'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n',
    'what has an end in the middle': 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"Version":"1',
    'what is no status of HTTP': 'HTTP/1.1 000 None\r\nContent-Length: 0\r\n\r\n',
    'no HTTP': 'SSH-2.0-OpenSSH_9.2p1\r\n',
    nothing: '',
  };
  for (const [what, text] of Object.entries(speakers))
    await t.test(what, async t => {
      const path = await serveOther(t, socket => socket.once('data', () => socket.end(text)));
      await refused(path, notDocker);
    });
  await t.test('a header that is too long', async t => {
    const path = await serveOther(t, socket =>
      socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1_000_000)}`)),
    );
    await refused(path, notDocker);
  });
  await t.test('a runtime that speaks gRPC', async t => {
    const path = join(await temporaryDirectory(t), 'socket');
    await serveRuntime(t, path);
    await refused(path, notDocker);
  });
  await t.test('an HTTP/2 server that wants no other', async t => {
    const path = join(await temporaryDirectory(t), 'socket');
    const server = createHttp2Server();
    await new Promise<void>(resolve => server.listen(path, resolve));
    cleanUp(t, () => server.close());
    await refused(path, notDocker);
  });
});

test('an answer of 200 MB is not read to its end', limits, async t => {
  const piece = Buffer.alloc(1_000_000, ' ');
  let sent = 0;
  const { socketPath } = await serveDocker(t, {
    '/version': async response => {
      while (sent < 200 && !response.destroyed) {
        sent++;
        if (!response.write(piece))
          await Promise.race(['drain', 'close'].map(name => new Promise(go => response.once(name, go))));
      }
      response.end();
    },
  });
  await refused(socketPath, /it sends more than 65536 bytes/);
  assert.ok(sent < 20, `${sent} MB`);
});

test('what never answers is given up after five seconds', { ...limits, concurrency: true }, async t => {
  const slow = (begin: string, goOn: string) => (socket: Socket) => {
    socket.write(`HTTP/1.1 200 OK\r\n${begin}`);
    const timer = setInterval(() => socket.write(goOn), 50);
    socket.once('close', () => clearInterval(timer));
  };
  const silences = {
    'it is silent': await serveOther(t, () => {}),
    'its header never ends': await serveOther(t, slow('', 'X: x\r\n')),
    'its answer never ends': await serveOther(t, slow('Content-Length: 1000\r\n\r\n', ' ')),
    'it has no events and does not say so': (await serveDocker(t, { '/events': hang })).socketPath,
  };
  const parts = Object.entries(silences).map(([what, path]) =>
    t.test(what, async () => {
      const took = await refused(path, /what listens there does not answer; look whether the runtime hangs/);
      assert.ok(took > 4_000 && took < 8_000, `${took}`);
    }),
  );
  await Promise.all(parts);
});

test('the end of the agent interrupts it, and leaves no socket', limits, async t => {
  let isOpen: boolean | undefined;
  const path = await serveOther(t, socket => {
    isOpen = true;
    socket.once('close', () => {
      isOpen = false;
    });
    socket.resume();
  });
  const end = new AbortController();
  setTimeout(() => end.abort(), 50);
  assert.ok((await refused(path, /it was interrupted/, end.signal)) < 2_000);
  await waitUntil(() => isOpen === false, { what: 'the end of the socket', timeoutMs: 2_000 });
});

test(
  'a refused engine is left alone, and one that answered is kept whatever becomes of the signal',
  limits,
  async t => {
    const old = await serveDocker(t, { '/version': json({ ...dockerVersion, ApiVersion: '1.24' }) });
    await refused(old.socketPath, /1\.24/);
    await waitUntil(() => old.connections() === 0, { what: 'the end of the socket', timeoutMs: 2_000 });
    const good = await serveDocker(t);
    const opening = new AbortController();
    const { client } = await openDocker(good.socketPath, opening.signal);
    cleanUp(t, () => client.close());
    opening.abort();
    assert.equal(await client.read({ path: '/_ping' }, never), 'OK');
    assert.equal(good.underWay(), 1, 'the events');
  },
);

test('the version of the API is the newest that both know', limits, async t => {
  const cases = [
    { ApiVersion: '1.41', MinAPIVersion: '1.12', speaks: '1.41' },
    { ApiVersion: '1.25', MinAPIVersion: '1.12', speaks: '1.25' },
    { ApiVersion: '1.52', MinAPIVersion: '1.44', speaks: '1.52' },
    { ApiVersion: '1.99', MinAPIVersion: '1.44', speaks: '1.52' },
    { ApiVersion: '1.52', speaks: '1.52' },
  ];
  for (const { speaks, ...versions } of cases)
    await t.test(speaks, async t => {
      const { socketPath, asked } = await serveDocker(t, { '/version': json({ Version: '1', ...versions }) });
      const { client, version } = await openDocker(socketPath, never);
      cleanUp(t, () => client.close());
      assert.deepEqual(version, { name: 'docker', version: '1', apiVersion: speaks });
      assert.equal(asked[0], 'GET /version');
      assert.ok(asked[1]?.startsWith(`GET /v${speaks}/events?`), asked[1]);
    });
});

test('a version of the API that is too old or too new is told', limits, async t => {
  const cases = [
    [
      { ApiVersion: '1.24', MinAPIVersion: '1.12' },
      /docker 9\.9 speaks version 1\.24 of docker's API, and 1\.25 is needed; upgrade docker$/,
    ],
    [{ ApiVersion: '1.9' }, /speaks version 1\.9 of/],
    [
      { ApiVersion: '1.70', MinAPIVersion: '1.53' },
      /speaks version 1\.53 of docker's API and later ones, and up to 1\.52 is known here; upgrade pullready$/,
    ],
    [{ ApiVersion: '2.0', MinAPIVersion: '2.0' }, /speaks version 2\.0 of docker's API and later ones/],
  ] as const;
  for (const [versions, message] of cases)
    await t.test(versions.ApiVersion, async t => {
      const answer = json({ ...dockerVersion, MinAPIVersion: undefined, Version: '9.9', ...versions });
      await refused((await serveDocker(t, { '/version': answer })).socketPath, message);
    });
});

test('what an engine calls its version is shown as one short word', limits, async t => {
  const cases = [
    ['24.0.7-ce+deb\u00fc', '24.0.7-ce+deb'],
    [`1\u001b[2J\n${'x'.repeat(50_000)}`, `1 [2J ${'x'.repeat(58)}`],
    ['\u202e', ''],
  ] as const;
  for (const [Version, shown] of cases) {
    const { socketPath } = await serveDocker(t, { '/version': json({ ...dockerVersion, Version }) });
    const { client, version } = await openDocker(socketPath, never);
    cleanUp(t, () => client.close());
    assert.equal(version.version, shown);
  }
});

test('podman is known, and asked whether it keeps events', limits, async t => {
  for (const eventLogger of ['none', 'journald'])
    await t.test(eventLogger, async t => {
      const docker = await serveDocker(t, {
        '/version': json({ ...dockerVersion, Version: '4.3.1', Components: [{ Name: 'Podman Engine' }] }),
        '/v4.3.1/libpod/info': json({ host: { eventLogger } }),
      });
      const { client, version, watchDeletions } = await openDocker(docker.socketPath, never);
      cleanUp(t, () => client.close());
      assert.deepEqual([version.name, version.version], ['podman', '4.3.1']);
      assert.equal(watchDeletions !== undefined, eventLogger !== 'none');
      docker.end();
      assert.equal(await client.closed, 'the connection was lost');
    });
});

test(
  'an engine whose events are refused tells of no deletion, and its end is noticed all the same',
  limits,
  async t => {
    const podman = { ...dockerVersion, Version: '4.3.1', Components: [{ Name: 'Podman Engine' }] };
    const forbidden = json({ message: 'forbidden' }, 403);
    const engines: readonly DockerAnswers[] = [
      { '/events': forbidden },
      { '/version': json(podman), '/v4.3.1/libpod/info': forbidden },
      { '/version': json(podman), '/v4.3.1/libpod/info': json({}) },
    ];
    for (const engine of engines) {
      const docker = await serveDocker(t, engine);
      const { client, watchDeletions } = await openDocker(docker.socketPath, never);
      cleanUp(t, () => client.close());
      assert.equal(watchDeletions, undefined);
      docker.end();
      assert.equal(await client.closed, 'the connection was lost');
    }
  },
);

test('a proxy that ends a silent connection is no end of the engine behind it', limits, async t => {
  const docker = await serveDocker(t, { '/events': json({ message: 'forbidden' }, 403) });
  let [silent, ended] = [0, 0];
  const path = await serveOther(t, socket => {
    silent++;
    const engine = connect(docker.socketPath).on('error', () => socket.destroy());
    socket.pipe(engine).pipe(socket);
    const timer = setTimeout(() => socket.destroy(), 1_200);
    socket.once('data', () => {
      clearTimeout(timer);
      silent--;
    });
    socket.once('close', () => {
      clearTimeout(timer);
      engine.destroy();
      ended++;
    });
  });
  const { client } = await openDocker(path, never);
  cleanUp(t, () => client.close());
  let closed: string | undefined;
  void client.closed.then(reason => {
    closed = reason;
  });
  await waitUntil(() => silent === 4 || closed !== undefined, {
    what: 'the fourth lifeline',
    timeoutMs: 10_000,
  });
  assert.equal(closed, undefined);
  docker.end();
  assert.equal(await client.closed, 'the connection was lost');
  assert.ok(ended >= 3);
});

test('a connection that is closed leaves nothing, also at the signal that outlives it', limits, async t => {
  const { socketPath } = await serveDocker(t);
  const agent = new AbortController();
  const openAndClose = async () => {
    const { client } = await openDocker(socketPath, agent.signal);
    client.close();
    assert.equal(await client.closed, 'the connection was closed');
  };
  const openFiles = async () => (await readdir('/proc/self/fd')).length;
  await openAndClose();
  const before = await openFiles();
  for (let times = 0; times < 20; times++) await openAndClose();
  assert.equal(getEventListeners(agent.signal, 'abort').length, 0);
  await waitUntil(async () => (await openFiles()) <= before, {
    what: 'the sockets to be closed',
    timeoutMs: 5_000,
  });
});
