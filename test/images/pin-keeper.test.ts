import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanPins } from '../../agent/images/clean-pins.ts';
import { PinKeeper } from '../../agent/images/pin-keeper.ts';
import type { PinnedImages, Pins, PresentImages } from '../../agent/runtimes/runtime.ts';
import { publishImage } from '../sandbox/images.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { configOf, startFlow, startNode } from './flows.ts';
import { wanted } from './listed.ts';

const limits = { timeout: 60_000 };

test(
  'what is to be pinned is, and is let go when pin is dropped, the tag was moved, or it left the list',
  limits,
  async t => {
    const node = await startNode(t);
    const publish = (repository: string, bytes: number) =>
      publishImage(node.registry, { repository, tag: 'v1', layers: [bytes] });
    const [api, web] = [await publish('team-a/api', 1_000), await publish('team-a/web', 2_000)];
    const { flow, login, image, until } = startFlow(t, node);
    /** The layers' sizes tell the images of one tag apart: by its id, which images carry our pin. */
    const pinned = async () => {
      const lines = (await node.runtime.ctr('images', 'list')).split('\n');
      return lines
        .filter(line => line.includes('io.pullready.pinned=true'))
        .map(line => line.split(' ', 1)[0]);
    };
    const untilPinned = async (what: string, count: number) => {
      let found: readonly (string | undefined)[] = [];
      await until(what, async () => {
        found = await pinned();
        return found.length === count;
      });
      return found;
    };
    const list = (apiSettings: object, ...more: readonly string[]) =>
      configOf([{ image: api.reference, ...apiSettings }, ...more], { resync: '1s' });

    flow.setConfig(list({ pin: true }, web.reference));
    login();
    const [first] = await untilPinned('the pin', 1);
    await until('the state', () => flow.state.pinned.size === 1);
    assert.deepEqual([...flow.state.pinned], [api.reference]);
    await until('the other image', () => image(1)?.state === 'present');

    await publish('team-a/api', 3_000);
    flow.setConfig(list({ pin: true, pullPolicy: 'Always' }, web.reference));
    await until('the pin of the new image alone', async () => {
      const names = await pinned();
      return names.length === 1 && names[0] !== first;
    });

    flow.setConfig(list({}, web.reference));
    await untilPinned('the pin to be dropped', 0);
    flow.setConfig(list({ pin: true }, web.reference));
    await untilPinned('the pin again', 1);
    flow.setConfig(configOf([web.reference]));
    await untilPinned('the pin to go with the list', 0);

    flow.setConfig(list({ pin: true }));
    await untilPinned('the pin once more', 1);
    assert.deepEqual(await cleanPins('auto', node.hostRoot, new AbortController().signal), {
      unpinned: 1,
      problem: null,
    });
  },
);

test(
  'before a config was read nothing is unpinned, and pin: true in mid-pull pins at its end',
  limits,
  async t => {
    const node = await startNode(t);
    const layers = [1_500_000];
    const api = await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers });
    const first = startFlow(t, node);
    node.registry.limit(800_000);
    first.flow.setConfig(configOf([api.reference], { resync: '1h' }));
    first.login();
    await first.until('the pull', () => first.image()?.state === 'pulling');
    first.flow.setConfig(configOf([{ image: api.reference, pin: true }], { resync: '1h' }));
    await first.until('the pin', () => first.flow.state.pinned.size === 1);

    const second = startFlow(t, node);
    await second.until('the connection', () => second.flow.state.runtime.state === 'connected');
    second.login();
    await second.until('a look', () => second.flow.state.disk !== null);
    assert.match(await node.runtime.ctr('images', 'list'), /io.pullready.pinned=true/);
  },
);

/** Pins of a runtime as a list, and what was asked of it. */
function recordedPins(start: Partial<PinnedImages> = {}) {
  const ours = new Set(start.ours);
  const lost = new Set(start.lost);
  const asked: string[] = [];
  const pins: Pins = {
    list: async () => {
      asked.push('list');
      return { ours: new Set(ours), others: start.others ?? new Set(), lost: new Set(lost) };
    },
    pin: async id => {
      asked.push(`pin ${id}`);
      ours.add(id);
      lost.delete(id);
    },
    unpin: async id => {
      asked.push(`unpin ${id}`);
      ours.delete(id);
      lost.delete(id);
    },
  };
  return { pins, asked };
}

const signal = new AbortController().signal;
const present: PresentImages = new Map([
  ['docker.io/library/a:1', { id: 'sha256:a', isPinned: false }],
  ['docker.io/library/b:1', { id: 'sha256:b', isPinned: true }],
]);

test('where nothing is to be pinned and nothing was, the runtime is asked once and never again', async () => {
  const { pins, asked } = recordedPins();
  const keeper = new PinKeeper();
  for (let look = 0; look < 3; look++) await keeper.keep(pins, wanted({ image: 'a:1' }), present, signal);
  assert.deepEqual(asked, ['list']);
});

test('what somebody else has pinned is left to them, and counts as pinned', async () => {
  const { pins, asked } = recordedPins({ others: new Set(['sha256:b']) });
  const keeper = new PinKeeper();
  await keeper.keep(pins, wanted({ image: 'b:1', pin: true }), present, signal);
  assert.deepEqual(asked, ['list']);
  assert.deepEqual([...keeper.pinned], ['docker.io/library/b:1']);
});

test('a pin of ours of an earlier run that nobody wants is taken away at the first look', async () => {
  const { pins, asked } = recordedPins({ ours: new Set(['sha256:old']) });
  await new PinKeeper().keep(pins, wanted(), present, signal);
  assert.deepEqual(asked, ['list', 'unpin sha256:old']);
});

test('a runtime that keeps a pin and does not list the image as pinned is told at the second look', async () => {
  const { pins } = recordedPins();
  const keeper = new PinKeeper();
  const images = wanted({ image: 'a:1', pin: true });
  await keeper.keep(pins, images, present, signal);
  assert.equal(keeper.isUntold, false, 'the list was made before the pin');
  await keeper.keep(pins, images, present, signal);
  assert.equal(keeper.isUntold, true);
});

test('a pin that somebody took away is put back, and that is no runtime that does not tell', async () => {
  const keeper = new PinKeeper();
  const images = wanted({ image: 'a:1', pin: true });
  await keeper.keep(recordedPins().pins, images, present, signal);
  const { pins, asked } = recordedPins({ lost: new Set(['sha256:a']) });
  await keeper.keep(pins, images, present, signal);
  assert.deepEqual([keeper.isUntold, asked], [false, ['list', 'pin sha256:a']]);
});

test('a mark of ours without a pin is taken away, so that nobody else can put a pin under it', async () => {
  const { pins, asked } = recordedPins({ lost: new Set(['sha256:a', 'sha256:b']) });
  await new PinKeeper().keep(pins, wanted({ image: 'b:1', pin: true }), present, signal);
  assert.deepEqual(asked, ['list', 'pin sha256:b', 'unpin sha256:a']);
});

test('a failure is told, and everything is looked at anew after it', async () => {
  const { pins, asked } = recordedPins();
  const keeper = new PinKeeper();
  const images = wanted({ image: 'a:1', pin: true });
  const broken: Pins = { ...pins, pin: () => Promise.reject(new Error('pinning: no')) };
  await keeper.keep(broken, images, present, signal);
  assert.equal(keeper.problem, 'pinning: no');
  assert.deepEqual([...keeper.pinned], []);
  await keeper.keep(pins, images, present, signal);
  assert.deepEqual([keeper.problem, asked], [null, ['list', 'list', 'pin sha256:a']]);
});

test('without pins, and with no runtime to ask, nothing is done and that is told', async t => {
  const keeper = new PinKeeper();
  await keeper.keep(undefined, wanted({ image: 'a:1', pin: true }, { image: 'b:1' }), present, signal);
  assert.deepEqual([...keeper.pinned], ['docker.io/library/b:1']);
  assert.deepEqual(await cleanPins('none', '/nowhere', signal), { unpinned: 0, problem: null });
  const { problem } = await cleanPins('auto', await temporaryDirectory(t), signal);
  assert.match(problem ?? '', /looking for a container runtime: there is no socket at/);
});
