import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Link, openLink } from './link.ts';

const options = { timeout: 10_000 };
const content = Buffer.alloc(500_000, 'x');

test('a limited link takes its time, for all connections together', options, async t => {
  const link = await linkToContent(t);
  link.limit(1_000_000);
  const started = performance.now();
  const got = await Promise.all([download(link), download(link)]);
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
  const downloading = download(link);
  assert.equal(await Promise.race([downloading, delay(200, 'still waiting')]), 'still waiting');
  link.limit(undefined);
  assert.deepEqual(await downloading, content);
});

test('a closed link refuses connections and has broken those that it had', options, async t => {
  const link = await linkToContent(t);
  link.limit(0);
  const socket = net.connect(link.port, '127.0.0.1').on('error', () => undefined);
  await once(socket, 'connect');
  const closed = once(socket, 'close');
  await link.close();
  await closed;
  await assert.rejects(download(link), { code: 'ECONNREFUSED' });
});

async function linkToContent(t: TestContext): Promise<Link> {
  const server = net.createServer(socket => socket.on('error', () => undefined).end(content));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const link = await openLink({ port: 0, target: () => port });
  t.after(async () => {
    await link.close().catch(() => undefined);
    server.close();
  });
  return link;
}

function download(link: Link): Promise<Buffer> {
  return buffer(net.connect(link.port, '127.0.0.1'));
}
