import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { cleanUp } from './cleanup.ts';
import { type Link, openLink } from './link.ts';

const options = { timeout: 10_000 };
const content = Buffer.alloc(500_000, 'x');

test('a limited link takes its time, for all connections together', options, async t => {
  const link = await linkToContent(t);
  link.limit(1_000_000);
  const started = performance.now();
  const got = await Promise.all([download(t, link), download(t, link)]);
  const seconds = (performance.now() - started) / 1000;
  assert.deepEqual(
    got.map(({ length }) => length),
    [content.length, content.length],
  );
  assert.ok(seconds > 0.7 && seconds < 3, `1 MB at 1 MB/s took ${seconds} s`);
});

test('a link at a standstill lets nothing through until the limit is lifted', options, async t => {
  const link = await linkToContent(t);
  link.limit(0);
  const downloading = download(t, link);
  const outcome = await Promise.race([downloading.then(() => 'all is there'), delay(200, 'still waiting')]);
  assert.equal(outcome, 'still waiting');
  link.limit(undefined);
  assert.ok((await downloading).equals(content));
});

test('a closed link refuses connections and has broken those that it had', options, async t => {
  const link = await linkToContent(t);
  link.limit(0);
  const socket = connect(t, link);
  await once(socket, 'connect');
  const closed = once(socket, 'close');
  await link.close();
  await closed;
  await assert.rejects(download(t, link), { code: 'ECONNREFUSED' });
});

async function linkToContent(t: TestContext): Promise<Link> {
  const server = net.createServer(socket => trackedFor(t, socket).end(content));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(t, () => server.close());
  const { port } = server.address() as net.AddressInfo;
  const link = await openLink({ port: 0, target: () => port });
  cleanUp(t, () => link.close());
  return link;
}

function connect(t: TestContext, { port }: Link): net.Socket {
  return trackedFor(t, net.connect(port, '127.0.0.1'));
}

/** Both ends of a connection are the test's, and a reset by them ends whatever stands between them. */
function trackedFor(t: TestContext, socket: net.Socket): net.Socket {
  cleanUp(t, () => socket.resetAndDestroy());
  return socket.on('error', () => undefined);
}

function download(t: TestContext, link: Link): Promise<Buffer> {
  return buffer(connect(t, link));
}
