import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DockerProgress } from '../../../agent/runtimes/docker/docker-progress.ts';
import { LayerProgress } from '../../../agent/runtimes/docker/layer-progress.ts';
import type { PullUnderWay } from '../../../agent/runtimes/runtime.ts';

type Line = readonly [id: string, status: string, current?: number, total?: number];

/** What is measured after each of these steps: done, total, and whether bytes are awaited. */
function measure(layers: LayerProgress, lines: readonly Line[]) {
  return lines.map(([id, status, current, total]) => {
    layers.take({ id, status, progressDetail: { current, total } });
    const measured = layers.measure();
    return measured && [measured.bytesDone, measured.bytesTotal, measured.awaitsBytes];
  });
}

test('docker announces all layers, and the total is known when each has told its size', () => {
  const lines: readonly Line[] = [
    ['v1', 'Pulling from team/app'],
    ['a', 'Already exists'],
    ['b', 'Pulling fs layer'],
    ['c', 'Pulling fs layer'],
    ['c', 'Waiting'],
    ['b', 'Downloading', 10, 100],
    ['b', 'Verifying Checksum'],
    ['b', 'Download complete'],
    ['c', 'Downloading', 5, 50],
    ['b', 'Extracting', 1, 100],
    ['b', 'Pull complete'],
    ['c', 'Download complete'],
    ['c', 'Extracting', 50, 50],
    ['c', 'Pull complete'],
  ];
  assert.deepEqual(measure(new LayerProgress(true), lines), [
    [0, null, false],
    [0, null, false],
    [0, null, true],
    [0, null, true],
    [0, null, true],
    [10, null, true],
    [100, null, false],
    [100, null, false],
    [105, 150, true],
    [105, 150, true],
    [105, 150, true],
    [150, 150, false],
    [150, 150, false],
    [150, 150, false],
  ]);
});

test('podman announces layers as it begins with them, and the total is known in the end', () => {
  const layers = new LayerProgress(false);
  const lines: readonly Line[] = [
    ['a', 'Pulling fs layer'],
    ['a', 'Downloading', 50, 100],
    ['a', 'Download complete'],
    ['b', 'Pulling fs layer'],
    ['b', 'Download complete'],
  ];
  assert.deepEqual(measure(layers, lines), [
    [0, null, true],
    [50, null, true],
    [100, null, false],
    [100, null, true],
    [100, null, false],
  ]);
  layers.finish();
  assert.equal(layers.measure()?.bytesTotal, 100);
});

test('what is fetched anew after a failure is no step back, and is awaited', () => {
  const lines: readonly Line[] = [
    ['a', 'Pulling fs layer'],
    ['a', 'Downloading', 50, 100],
    ['a', 'Retrying in 5 seconds'],
    ['a', 'Downloading', 10, 100],
    ['a', 'Downloading', 60, 100],
    // Another pull has fetched it meanwhile.
    ['a', 'Already exists'],
  ];
  assert.deepEqual(measure(new LayerProgress(true), lines), [
    [0, null, true],
    [50, 100, true],
    [50, 100, true],
    [50, 100, true],
    [60, 100, true],
    [100, 100, false],
  ]);
});

test('of a download without a size the bytes are told, and more than the size makes no 110 per cent', () => {
  const lines: readonly Line[] = [
    ['a', 'Pulling fs layer'],
    ['a', 'Downloading', 50],
    ['a', 'Downloading', 70, 60],
    ['a', 'A word that nobody has heard before', 7, 8],
  ];
  assert.deepEqual(measure(new LayerProgress(true), lines), [
    [0, null, true],
    [50, null, true],
    [70, 70, true],
    [70, 70, true],
  ]);
});

test('what has bytes is a layer, whatever is said of it; who did not announce it may have more', () => {
  const layers = new LayerProgress(true);
  const lines: readonly Line[] = [
    ['a', 'Waiting'],
    ['a', 'Pulling layer fs', 50, 100],
    ['a', 'Waiting'],
    ['a', 'Pulling layer fs', 80, 100],
    ['b', 'Downloading', 1],
    ['a', 'Download complete'],
    ['a', 'A word for the unpacking', 1, 1_000],
    ['b', 'Download complete'],
  ];
  assert.deepEqual(measure(layers, lines), [
    [0, null, false],
    [50, null, true],
    [50, null, false],
    [80, null, true],
    [81, null, true],
    [101, null, true],
    [101, null, true],
    [101, null, false],
  ]);
  layers.finish();
  assert.equal(layers.measure()?.bytesTotal, 101);
});

test('while no layer is known, what was not said before is a sign of life, and what is repeated is none', () => {
  const layers = new LayerProgress(true);
  const lines: readonly Line[] = [
    ['v1', 'Pulling from team/app'],
    ['a', 'Waiting'],
    ['b', 'Waiting'],
    ['a', 'Waiting'],
    ['b', 'Waiting'],
    ['x'.repeat(1_000), 'Waiting'],
  ];
  const alive = [0, null, false];
  const none = undefined;
  assert.deepEqual(measure(layers, lines), [alive, alive, alive, none, none, none]);
  const flood = Array.from({ length: 2_000 }, (_, index) => [`${index}`, 'Waiting'] as const);
  assert.equal(measure(layers, flood).filter(measured => measured).length, 997, 'and it comes to an end');
});

test('of layers without number or end only so much is kept, and no total is told', () => {
  for (const idOf of [(index: number) => `${index}`, (index: number) => `${index}`.padEnd(129, 'x')]) {
    const layers = new LayerProgress(true);
    const take = (id: string, current: number) =>
      layers.take({ id, status: 'Downloading', progressDetail: { current, total: 2 } });
    layers.take({ id: 'first', status: 'Pulling fs layer' });
    take('first', 1);
    assert.equal(layers.measure()?.bytesTotal, 2);
    for (let index = 0; index < 5_000; index++) {
      layers.take({ id: idOf(index), status: 'Pulling fs layer' });
      take(idOf(index), 1);
    }
    const measured = layers.measure();
    assert.equal(measured?.bytesDone, idOf(0).length > 128 ? 1 : 1_000);
    assert.equal(measured?.bytesTotal, null);
    take('first', 2);
    assert.equal(layers.measure()?.bytesDone, (measured?.bytesDone ?? 0) + 1, 'those are still counted');
    layers.finish();
    assert.equal(layers.measure()?.bytesTotal, null);
  }
});

test('the sum of what is too large to be true is a number that JSON has', () => {
  const lines: readonly Line[] = ['a', 'b'].flatMap(id => [
    [id, 'Pulling fs layer'],
    [id, 'Downloading', Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  ]);
  const last = measure(new LayerProgress(true), lines).at(-1);
  assert.deepEqual(last, [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, true]);
});

test('a pull is measured by its name, while it runs and once it is over, and then forgotten', async () => {
  const progress = new DockerProgress(true);
  const under = (name: string) => ({ name }) as PullUnderWay;
  const told = (...names: string[]) => [...progress.measure(names.map(under)).images];
  const running = Promise.withResolvers<void>();
  const followed = progress.follow('x', async layers => {
    measure(layers, [
      ['a', 'Pulling fs layer'],
      ['a', 'Downloading', 1, 2],
    ]);
    await running.promise;
  });
  const measured = { bytesDone: 1, bytesTotal: 2, awaitsBytes: true };
  assert.deepEqual(told('y'), []);
  assert.deepEqual(told('x', 'y'), [['x', measured]]);
  running.resolve();
  await followed;
  assert.deepEqual(told('x'), [['x', measured]]);
  assert.deepEqual(told(), []);
  assert.deepEqual(told('x'), []);
  await assert.rejects(
    progress.follow('z', () => Promise.reject(new Error('no'))),
    /no/,
  );
});

test('what podman has fetched is told as the total once it has pulled, and not if that failed', async () => {
  for (const fails of [false, true]) {
    const progress = new DockerProgress(false);
    const total = () => progress.measure([{ name: 'x' } as PullUnderWay]).images.get('x')?.bytesTotal;
    const pull = progress.follow('x', async layers => {
      measure(layers, [
        ['a', 'Pulling fs layer'],
        ['a', 'Downloading', 1, 2],
        ['a', 'Download complete'],
      ]);
      assert.equal(total(), null);
      if (fails) throw new Error('no');
    });
    await (fails ? assert.rejects(pull, /no/) : pull);
    assert.equal(total(), fails ? null : 2);
  }
});
