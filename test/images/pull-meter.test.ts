import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { DiskGuard } from '../../agent/images/disk-guard.ts';
import { IoGuard } from '../../agent/images/io-guard.ts';
import { PullMeter } from '../../agent/images/pull-meter.ts';
import { PullQueue } from '../../agent/images/pull-queue.ts';
import { planImages } from '../../agent/images/wanted-images.ts';
import { connectCri } from '../../agent/runtimes/cri/cri-runtime.ts';
import { serveRuntime } from '../runtimes/small-runtime.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';
import { configOf } from './flows.ts';

test('a runtime that is slow to tell the progress does not keep the disk from being looked at', {
  timeout: 20_000,
}, async t => {
  const directory = await temporaryDirectory(t);
  await serveRuntime(t, `${directory}/socket`);
  const runtime = await connectCri(`${directory}/socket`, 'unix:///socket', new AbortController().signal);
  cleanUp(t, () => runtime.close());
  const config = configOf(['r.io/a:1'], {}, '1000Ti');
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
  const ended = new AbortController();
  const queue = new PullQueue({
    pull: (_image, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', reject)),
    limits: () => config.pulls,
    onChange: () => {},
  });
  queue.setList(planImages(config.images, { arch: 'amd64', os: 'linux', nodeName: 'n' }).wanted);
  queue.setPresent(new Set());
  queue.open();
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
  const meter = new PullMeter({ queue, disk, io, config: () => config, log: pino({ enabled: false }) });
  const running = meter.run({ ...runtime, progress }, ended.signal);
  await waitUntil(() => looks >= 3, { what: 'looks at the disk', timeoutMs: 10_000 });
  assert.equal(asked, 1, 'and it is not asked again before it has answered');
  ended.abort();
  await running;
  assert.equal(answered, 1);
  await queue.stop();
});
