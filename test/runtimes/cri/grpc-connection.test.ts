import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Failure } from '../../../agent/base/failure.ts';
import { openGrpcConnection } from '../../../agent/runtimes/cri/grpc-connection.ts';
import { cleanUp } from '../../sandbox/cleanup.ts';
import { temporaryDirectory } from '../../sandbox/temporary.ts';
import { waitUntil } from '../../sandbox/wait-until.ts';
import { serveRuntime } from '../small-runtime.ts';

const limits = { timeout: 20_000 };
const never = new AbortController().signal;

/** Expects that connecting fails with a Failure that says so. */
function refused(path: string, message: RegExp, signal = never): Promise<void> {
  return assert.rejects(openGrpcConnection(path, signal), error => {
    assert.ok(error instanceof Failure && error.message.startsWith(`connecting to ${path}: `), `${error}`);
    assert.match(error.message, message);
    return true;
  });
}

test('where no socket is, or nobody listens, that is said', limits, async t => {
  const directory = await temporaryDirectory(t);
  await refused(join(directory, 'none'), /it does not exist; check the path and the mount$/);
  await refused(join(directory, 'none/below'), /it does not exist/);
  await writeFile(join(directory, 'file'), 'text');
  await refused(join(directory, 'file'), /nothing listens there; check that the path is a socket/);
  await mkdir(join(directory, 'directory'));
  await refused(join(directory, 'directory'), /nothing listens there/);
  await refused(`/${'x'.repeat(200)}`, /longer|too long/);
  const left = join(directory, 'left');
  const server = await listen(t, left, () => {});
  // A socket stays in its directory when the program that listened is killed; closing it in order would remove it.
  await rename(left, `${left}-behind`);
  await new Promise<void>(resolve => server.close(() => resolve()));
  await refused(`${left}-behind`, /nothing listens there/);
});

test('what listens and does not speak gRPC is told, and is no crash', limits, async t => {
  const directory = await temporaryDirectory(t);
  const speakers: Readonly<Record<string, (socket: Socket) => void>> = {
    http1: socket => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
    garbage: socket => socket.write(Buffer.alloc(100_000, 0xff)),
    'hang-up': socket => socket.destroy(),
    // An empty frame of settings, as HTTP/2 begins, and then a frame that is not allowed.
    'half-way': socket => socket.end(Buffer.from('000000040000000000ffffff99ff00000000', 'hex')),
  };
  for (const [name, speak] of Object.entries(speakers)) {
    const path = join(directory, name);
    await listen(t, path, speak);
    if (name !== 'half-way') await refused(path, /does not answer in gRPC; use the socket of a runtime/);
    else {
      const connection = await openGrpcConnection(path, never).catch(() => undefined);
      await connection?.closed;
    }
  }
});

test('one that never answers is given up after five seconds, or when the agent ends', limits, async t => {
  const path = join(await temporaryDirectory(t), 'silent');
  await listen(t, path, () => {});
  const asked = performance.now();
  await refused(path, /what listens there does not answer; look whether the runtime hangs/);
  const took = performance.now() - asked;
  assert.ok(took > 4_000 && took < 8_000, `${took}`);
  const end = new AbortController();
  setTimeout(() => end.abort(), 50);
  await refused(path, /it was interrupted/, end.signal);
});

test(
  'a connection that is gone is told, and leaves nothing at the signal that outlives it',
  limits,
  async t => {
    const path = join(await temporaryDirectory(t), 'socket');
    await serveRuntime(t, path);
    const agent = new AbortController();
    const connectAndClose = async () => {
      const connection = await openGrpcConnection(path, agent.signal);
      connection.close();
      await connection.closed;
    };
    const openFiles = async () => (await readdir('/proc/self/fd')).length;
    await connectAndClose();
    const before = await openFiles();
    for (let times = 0; times < 20; times++) await connectAndClose();
    assert.equal(getEventListeners(agent.signal, 'abort').length, 0);
    await waitUntil(async () => (await openFiles()) <= before, {
      what: 'the sockets to be closed',
      timeoutMs: 5_000,
    });
  },
);

async function listen(t: TestContext, path: string, speak: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket.on('error', () => socket.destroy()));
    speak(socket);
  });
  await new Promise<void>(resolve => server.listen(path, resolve));
  cleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server;
}
