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
    const { measured } = layers;
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
    undefined,
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
  assert.equal(layers.measured?.bytesTotal, 100);
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
    ['b', 'Downloading', 5, 10],
    ['a', 'A word that nobody has heard before', 7, 8],
  ];
  assert.deepEqual(measure(new LayerProgress(true), lines), [
    [0, null, true],
    [50, null, true],
    [70, 70, true],
    [70, 70, true],
    [70, 70, true],
  ]);
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
