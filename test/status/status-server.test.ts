import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Board } from '../../agent/status/board.ts';
import { Metrics } from '../../agent/status/metrics.ts';
import { toStatus } from '../../agent/status/status.ts';
import { startStatusServer } from '../../agent/status/status-server.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { board, imageState } from './boards.ts';

const limits = { timeout: 10_000 };

async function serve(t: TestContext, state: Board) {
  const status = () => toStatus(state);
  const metrics = new Metrics(status);
  const server = await startStatusServer({ listen: '127.0.0.1:0', status, metrics });
  cleanUp(t, () => server.close());
  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`${server.url}${path}`, { method, signal: AbortSignal.timeout(5_000) });
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      body: await response.text(),
    };
  };
  return { get, metrics, url: server.url };
}

test('every page is there, and nothing can be changed', limits, async t => {
  const { get } = await serve(t, board());
  assert.deepEqual(await get('/livez'), { status: 200, type: 'text/plain; charset=utf-8', body: 'alive\n' });
  assert.equal((await get('/readyz?verbose')).body, 'ready\n');
  assert.equal((await get('/status')).type, 'application/json; charset=utf-8');
  assert.match((await get('/')).body, /node-1 is ready/);
  assert.match((await get('/metrics')).type ?? '', /^text\/plain; version=0\.0\.4/);
  assert.deepEqual([(await get('/none')).status, (await get('/status', 'POST')).status], [404, 405]);
  const head = await get('/status', 'HEAD');
  assert.deepEqual([head.status, head.body], [200, '']);
  for (const path of ['/livez', '/status', '/none'])
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
      assert.equal((await get(path, method)).status, 405, `${method} ${path}`);
});

test('a node that is not ready answers 503 with the reasons and the notes', limits, async t => {
  const images = [imageState('a:1', { state: 'pulling' }), imageState('b:1', {}, false)];
  const { get } = await serve(t, board({ images: { images } }));
  assert.deepEqual(await get('/readyz'), {
    status: 503,
    type: 'text/plain; charset=utf-8',
    body: 'not ready\n- image a:1 is pulling\nnote: image b:1 is waiting\n',
  });
});

test('the fields of the status are those that were promised', limits, async t => {
  const images = [imageState('a:1', { state: 'present', warm: true, attempts: 1, durationMs: 5 })];
  const { get } = await serve(t, board({ images: { images } }));
  const status = JSON.parse((await get('/status')).body);
  const { version, node, ready, reasons, runtime, disk } = status;
  assert.deepEqual([version, node, ready, reasons], ['1.2.3', 'node-1', true, []]);
  assert.deepEqual(Object.keys(runtime).slice(0, 4).toSorted(), ['endpoint', 'name', 'state', 'version']);
  assert.deepEqual(disk, { path: '/', freeBytes: 10, keepFreeBytes: 2 });
  assert.deepEqual(status.credentials.sources, [
    { name: 'team-a', state: 'current', entries: 0, problems: [] },
  ]);
  assert.deepEqual(status.credentials.targets, [
    {
      path: '/var/lib/kubelet/config.json',
      state: 'current',
      managed: 1,
      foreign: 0,
      writtenAt: '2026-01-02T03:04:05.000Z',
      kubeletSeesBy: '2026-01-02T03:09:05.000Z',
      displaced: [],
      setAside: [],
      problem: null,
    },
  ]);
  const { warm, ...image } = status.images[0];
  assert.deepEqual(image, {
    image: 'a:1',
    state: 'present',
    reason: null,
    message: null,
    required: true,
    pinned: false,
    attempts: 1,
    bytesDone: 0,
    bytesTotal: null,
    nextAttemptAt: null,
    durationMs: 5,
  });
});

test('an address that is taken is an error that says so', limits, async t => {
  const { url } = await serve(t, board());
  const listen = new URL(url).host;
  const status = () => toStatus(board());
  await assert.rejects(
    startStatusServer({ listen, status, metrics: new Metrics(status) }),
    /listening on 127.0.0.1:\d+: .*EADDRINUSE.*; give another address with --listen, or none/,
  );
});

test('who asks a thousand times without reading gets one answer', limits, async t => {
  const { get, url } = await serve(t, board());
  const { port, hostname } = new URL(url);
  const answers = await new Promise<string>(resolve => {
    let text = '';
    const socket = connect(Number(port), hostname, () =>
      socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1_000)),
    );
    socket.on('data', data => {
      text += data;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
  assert.equal(answers.match(/200 OK/g)?.length, 1);
  assert.equal((await get('/livez')).status, 200);
});

test('a request that is no HTTP, or has an odd path, harms nothing', limits, async t => {
  const { get, url } = await serve(t, board());
  const { port, hostname } = new URL(url);
  const answer = await new Promise<string>(resolve => {
    let text = '';
    const socket = connect(Number(port), hostname, () =>
      socket.end('GET //[ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
    );
    socket.on('data', data => {
      text += data;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', () => resolve(text));
  });
  assert.match(answer, /^HTTP\/1\.1 404/);
  assert.equal((await get('/livez')).status, 200);
});
