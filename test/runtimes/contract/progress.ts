import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { MeasuredPull, PullUnderWay, Runtime } from '../../../agent/runtimes/runtime.ts';
import type { TestedRuntime } from '../tested-runtimes.ts';
import { never, startScene, underWay } from './scene.ts';

const limits = { timeout: 60_000 };

/** What a runtime tells of pulls that are under way. */
export function tellsProgress(tested: TestedRuntime): void {
  if (tested.capabilities.progress === 'none') return;

  test('the bytes of a pull grow to their total, and are no more than came', limits, async t => {
    const { registry, runtime, publish, pull } = await startScene(t, tested);
    const rate = 3_000_000;
    const layers = [5_000_000, 2_000_000, 500_000];
    const image = await publish('team-a/big', layers);
    registry.limit(rate);
    const one = underWay(image.reference);
    const samples = await sampleUntil(pull(image.reference), runtime, one);
    for (const { bytesDone, bytesTotal, milliseconds } of samples) {
      const came = (rate * milliseconds) / 1_000;
      assert.ok(bytesDone <= came * 1.1 + 500_000, `${bytesDone} of ${came} bytes that came`);
      if (bytesTotal !== null) assert.ok(bytesTotal < image.bytes + 20_000, `${bytesTotal} in total`);
      assert.ok(bytesDone <= (bytesTotal ?? Number.POSITIVE_INFINITY), `${bytesDone} of ${bytesTotal}`);
    }
    const values = samples.map(({ bytesDone }) => bytesDone);
    const stepsBack = values.filter((bytes, index) => bytes < (values[index - 1] ?? 0));
    const forgiven = tested.capabilities.progressOnlyGrows ? 0 : layers.length;
    assert.ok(stepsBack.length <= forgiven, `they only grow: ${values}`);
    const between = values.filter(bytes => bytes > 200_000 && bytes < 7_300_000);
    assert.ok(new Set(between).size >= 3, `steps: ${values}`);
    const half = samples.find(({ bytesDone }) => bytesDone > image.bytes / 2);
    const total = half?.bytesTotal ?? 0;
    if (tested.capabilities.progress === 'of a total')
      assert.ok(total >= image.bytes, 'the total is known when half of it is there');
    const last = samples.at(-1);
    // Who does not tell of a total does not tell of a small layer either, if it came between two reports.
    const expected = tested.capabilities.progress === 'of a total' ? image.bytes : 5_000_000;
    assert.ok(last && last.bytesDone >= expected, `${last?.bytesDone} of ${image.bytes} in the end`);
    assert.equal(last.bytesDone, last.bytesTotal);
  });

  test('pulls that are under way at the same time are told apart', limits, async t => {
    const { registry, runtime, publish, pull } = await startScene(t, tested);
    const images = [await publish('team-a/one', [1_500_000]), await publish('team-a/other', [3_000_000])];
    registry.limit(1_500_000);
    const sampled = await Promise.all(
      images.map(({ reference }) => sampleUntil(pull(reference), runtime, underWay(reference))),
    );
    for (const [index, { bytes }] of images.entries()) {
      const total = sampled[index]?.at(-1)?.bytesTotal ?? 0;
      assert.ok(total >= bytes && total < bytes + 20_000, `${total} of ${bytes}`);
    }
  });
}

type Sample = MeasuredPull & { readonly milliseconds: number };

/** What is told of a pull, again and again until it has ended, and once more after it. */
async function sampleUntil(
  pull: Promise<void>,
  runtime: Runtime,
  one: PullUnderWay,
): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  const sample = async () => {
    const progress = (await runtime.progress?.([one], never))?.images.get(one.name);
    if (progress) samples.push({ ...progress, milliseconds: one.age });
  };
  const ended = pull.then(() => true);
  while (!(await Promise.race([ended, delay(20)]))) await sample();
  await sample();
  return samples;
}
