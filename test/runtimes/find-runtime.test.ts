import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { findRuntime } from '../../agent/runtimes/find-runtime.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory, temporaryNode } from '../sandbox/temporary.ts';

const limits = { timeout: 20_000 };
const never = new AbortController().signal;

test('auto finds containerd at its usual place and knows its version', limits, async t => {
  const node = await temporaryNode(t, { users: [] });
  const runtime = await findRuntime('auto', node.hostRoot, never);
  cleanUp(t, () => runtime.close());
  assert.deepEqual(
    [runtime.name, runtime.endpoint],
    ['containerd', 'unix:///run/containerd/containerd.sock'],
  );
  assert.match(runtime.version, /^\d+\.\d+/);
  assert.match((await runtime.imageDirectory(never)) ?? '', /^\/var\/lib\/containerd/);
  assert.equal((await runtime.listImages(never)).size, 0);

  const named = await findRuntime('unix:///var/run/containerd/containerd.sock', node.hostRoot, never);
  named.close();
  await named.closed;
  await node.containerd.kill('SIGKILL');
  await runtime.closed;
  await assert.rejects(runtime.listImages(never), /listing the images of the container runtime/);
});

test('where nothing is, all places that were looked at are named', limits, async t => {
  const directory = await temporaryDirectory(t);
  await assert.rejects(
    findRuntime('auto', directory, never),
    /looking for a container runtime: there is no socket at \/run\/containerd\/containerd.sock, .*crio.*; start the runtime/,
  );
});

test('what is no socket, or listens and does not speak CRI, is told and is no crash', limits, async t => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'run'));
  await writeFile(join(directory, 'run/file'), '');
  await assert.rejects(findRuntime('unix:///run/file', directory, never), /nothing listens there; check/);
  await assert.rejects(findRuntime('unix:///run/none', directory, never), /it does not exist/);
  await assert.rejects(
    findRuntime(`unix:///${'x'.repeat(200)}`, directory, never),
    /run|path|does not exist/,
  );

  const speakers: readonly (readonly [string, (socket: Socket) => void])[] = [
    ['http1', socket => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')],
    ['garbage', socket => socket.write(Buffer.alloc(100_000, 0xff))],
    ['hang-up', socket => socket.destroy()],
  ];
  for (const [name, speak] of speakers) {
    await listen(t, join(directory, 'run', name), speak);
    await assert.rejects(
      findRuntime(`unix:///run/${name}`, directory, never),
      /does not answer in gRPC; use the socket/,
      name,
    );
  }
});

test(
  'a server that never answers is given up after five seconds, or when the agent ends',
  limits,
  async t => {
    const directory = await temporaryDirectory(t);
    await listen(t, join(directory, 'silent'), () => {});
    const asked = performance.now();
    await assert.rejects(findRuntime('unix:///silent', directory, never), /does not answer in gRPC/);
    assert.ok(performance.now() - asked < 8_000);
    const end = new AbortController();
    const finding = findRuntime('unix:///silent', directory, end.signal);
    setTimeout(() => end.abort(), 50);
    await assert.rejects(finding, /interrupted/);
  },
);

async function listen(t: TestContext, path: string, speak: (socket: Socket) => void): Promise<Server> {
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
