import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { DiskGuard } from '../../agent/images/disk-guard.ts';
import { IoGuard } from '../../agent/images/io-guard.ts';
import { PullMeter } from '../../agent/images/pull-meter.ts';
import { PullQueue } from '../../agent/images/pull-queue.ts';
import { connectCri } from '../../agent/runtimes/cri/cri-runtime.ts';
import type { Runtime } from '../../agent/runtimes/runtime.ts';
import { serveRuntime } from '../runtimes/small-runtime.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';
import { configOf } from './flows.ts';
import { wanted } from './listed.ts';

const limits = { timeout: 20_000 };

/** A meter over a queue whose pulls end when the test says so; the disk has room or not. */
async function startMeter(t: TestContext, progress: NonNullable<Runtime['progress']>, keepFree: string) {
  const directory = await temporaryDirectory(t);
  await serveRuntime(t, `${directory}/socket`);
  const runtime = await connectCri(`${directory}/socket`, 'unix:///socket', new AbortController().signal);
  const config = configOf([], {}, keepFree);
  let looks = 0;
  const disk = new DiskGuard(
    directory,
    () => looks++,
    () => {},
  );
  disk.directory = '/';
  const io = new IoGuard(
    () => {},
    () => {},
  );
  const ends: (() => void)[] = [];
  const queue = new PullQueue({
    pull: async (image, signal) => {
      await new Promise<void>((resolve, reject) => {
        ends.push(resolve);
        signal.addEventListener('abort', () => reject(signal.reason));
      });
      await meter.ended(image);
    },
    limits: () => ({ ...config.pulls, concurrency: 100, perRegistry: 100 }),
    onChange: () => meter.wake(),
  });
  const meter: PullMeter = new PullMeter({
    queue,
    disk,
    io,
    config: () => config,
    log: pino({ enabled: false }),
  });
  const ended = new AbortController();
  const running = meter.run({ ...runtime, progress }, ended.signal);
  const stop = async () => {
    ended.abort();
    await Promise.all([running, queue.stop()]);
    runtime.close();
  };
  cleanUp(t, stop);
  return { queue, ends, stop, looks: () => looks };
}

test(
  'a runtime that is slow to tell the progress does not keep the disk from being looked at',
  limits,
  async t => {
    let [asked, answered] = [0, 0];
    const progress = (_pulls: unknown, signal: AbortSignal) => {
      asked++;
      return new Promise<never>((_resolve, reject) =>
        signal.addEventListener('abort', () => {
          answered++;
          reject(signal.reason);
        }),
      );
    };
    const { queue, stop, looks } = await startMeter(t, progress, '1000Ti');
    queue.setList(wanted('r.io/a:1'));
    queue.setPresent(new Set());
    queue.open();
    await waitUntil(() => looks() >= 3, { what: 'looks at the disk', timeoutMs: 10_000 });
    assert.equal(asked, 1, 'and it is not asked again before it has answered');
    await stop();
    assert.equal(answered, 1);
  },
);

test(
  'progress is asked for at most once a second, also when a hundred pulls end, and not after that',
  limits,
  async t => {
    const asked: number[] = [];
    const progress: NonNullable<Runtime['progress']> = async pulls => {
      asked.push(performance.now());
      return {
        images: new Map(pulls.map(({ name }) => [name, { bytesDone: 7, bytesTotal: 7 }])),
        otherBytes: 0,
      };
    };
    const { queue, ends } = await startMeter(t, progress, '1');
    queue.setList(wanted(...Array.from({ length: 100 }, (_, number) => `r.io/a${number}:1`)));
    queue.setPresent(new Set());
    queue.open();
    for (const end of ends) end();
    const isDone = () =>
      queue.images.every(({ state, bytesTotal }) => state === 'present' && bytesTotal === 7);
    await waitUntil(isDone, { what: 'all sizes', timeoutMs: 10_000 });
    assert.ok(asked.length <= 3, `${asked.length}`);
    for (const [index, at] of asked.entries())
      assert.ok(index === 0 || at - (asked[index - 1] ?? 0) >= 990, JSON.stringify(asked));
  },
);

test('a low disk is looked at every second only while an image waits for it', limits, async t => {
  const progress = () => assert.fail('nothing is pulled');
  const { queue, looks } = await startMeter(t, progress, '1000Ti');
  assert.equal(looks(), 0);
  queue.setList(wanted('r.io/a:1'));
  queue.setPresent(new Set());
  assert.ok(queue.hasDue);
  queue.setPresent(new Set(['r.io/a:1']));
  assert.ok(!queue.hasDue, 'it is there');
});
