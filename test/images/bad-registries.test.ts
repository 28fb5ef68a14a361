import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serveRegistry } from '../runtimes/fake-registry.ts';
import { silence, status, trickle } from '../runtimes/registry-answers.ts';
import { makeLayer } from '../sandbox/image-layer.ts';
import { publishImage } from '../sandbox/images.ts';
import { configOf, startFlow, startNode } from './flows.ts';

const limits = { timeout: 60_000 };

for (const [what, headers] of [
  ['429', {}],
  ['429 and Retry-After', { 'retry-after': '1' }],
] as const)
  test(
    `a registry that says ${what} is left alone without a slot, while others are pulled from`,
    limits,
    async t => {
      const node = await startNode(t);
      const busy = await serveRegistry(t, { one: { manifest: status(429, headers) }, two: {} });
      const names = ['one', 'two'].map(name => `127.0.0.1:${busy.port}/${name}:v1`);
      const image = { repository: 'team-a/api', layers: [1_000] };
      for (const tag of ['v1', 'v2', 'v3']) {
        const { reference } = await publishImage(node.registry, { ...image, tag });
        names.push(reference);
      }
      const { flow, login, changes, until } = startFlow(t, node);
      // Of one slot, what waits and holds it would leave nothing.
      flow.setConfig(configOf(names, { concurrency: 1, perRegistry: 1, resync: '1s' }));
      login();
      await until('the others', () => flow.state.images.slice(2).every(({ state }) => state === 'present'));
      const [one, two] = flow.state.images;
      assert.deepEqual([one?.state, one?.failure?.kind, one?.attempts], ['failed', 'rate-limited', 1]);
      assert.match(
        one?.failure?.message ?? '',
        /429 Too Many Requests; the registry is left alone for a while/,
      );
      assert.deepEqual([two?.state, two?.attempts], ['waiting', 0], 'no image of this registry is asked for');
      const pause = (one?.nextAttemptAt?.getTime() ?? 0) - Date.now();
      assert.ok(pause > 5_000 && pause < 45_000, `${pause} ms`);
      // New credentials, a new list and resyncs do not end the pause.
      const asked = busy.requests.length;
      login('a-word');
      const more = await publishImage(node.registry, { ...image, tag: 'v4' });
      flow.setConfig(configOf([...names, more.reference], { concurrency: 1, perRegistry: 1, resync: '1s' }));
      await until('one more', () => flow.state.images[5]?.state === 'present');
      assert.equal(busy.requests.length, asked);
      assert.ok(
        busy.requests.every(request => request.endsWith(' /v2/one/manifests/v1')),
        `${busy.requests}`,
      );
      assert.equal(
        changes.filter(({ state, wanted }) => state === 'pulling' && wanted.image === names[1]).length,
        0,
      );
    },
  );

test(
  'a registry that never answers stalls, and one that goes on and on is ended by the clock',
  limits,
  async t => {
    const node = await startNode(t);
    const content = await makeLayer({ seed: 'long', size: 40_000_000, compression: 'gzip' });
    const bad = await serveRegistry(t, {
      manifest: { manifest: silence },
      layer: { layer: silence },
      // containerd writes what came a megabyte at a time: what is slower for so long does not seem to come at all.
      drops: { layer: trickle(1) },
      stream: { layer: trickle(500_000), content },
    });
    const names = ['manifest', 'layer', 'drops', 'stream'].map(name => `127.0.0.1:${bad.port}/${name}:v1`);
    const { flow, login, changes, until } = startFlow(t, node);
    const retry = { initial: '1h', max: '1h' };
    flow.setConfig(
      configOf(names, { concurrency: 4, perRegistry: 4, stallTimeout: '2s', timeout: '6s', retry }),
    );
    login();
    const failureOf = (name: string | undefined) =>
      changes.find(({ wanted, failure }) => wanted.image === name && failure)?.failure;
    await until('their ends', () => names.every(failureOf));
    const [manifest, layer, drops, stream] = names.map(failureOf);
    assert.deepEqual(
      [manifest, layer, drops, stream].map(failure => failure?.kind),
      ['stalled', 'stalled', 'stalled', 'timeout'],
    );
    assert.match(
      manifest?.message ?? '',
      /^stopped at 0 of unknown bytes; .* check the registry and the network$/,
    );
    for (const failure of [layer, drops])
      assert.match(
        failure?.message ?? '',
        /^stopped at \d+ of 1\d{4} bytes; no byte came for pulls\.stallTimeout/,
      );
    assert.match(stream?.message ?? '', /^not done after 6\.0s; raise pulls\.timeout/);
  },
);
