import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { HandlerContext } from '@connectrpc/connect';
import { connectCri } from '../../../agent/runtimes/cri/cri-runtime.ts';
import { cleanUp } from '../../sandbox/cleanup.ts';
import { temporaryDirectory } from '../../sandbox/temporary.ts';
import { waitUntil } from '../../sandbox/wait-until.ts';
import { type SmallRuntimeAnswers, serveRuntime } from '../small-runtime.ts';

const limits = { timeout: 20_000 };
const never = new AbortController().signal;

/** Does not answer for as long as somebody waits for it. */
const hang = (_request: unknown, { signal }: HandlerContext) =>
  new Promise<never>((_resolve, reject) => signal.addEventListener('abort', reject, { once: true }));

/** A connection to a runtime whose pulls never end, on a clock whose two seconds pass when `look` is called. */
async function connect(t: TestContext, { version, ...answers }: SmallRuntimeAnswers = {}) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const path = join(await temporaryDirectory(t), 'socket');
  let asked = 0;
  await serveRuntime(t, path, {
    pullImage: hang,
    ...answers,
    version: (...args) => {
      // The first time it is asked for is when the connection is made.
      if (asked++ > 0 && version) return version(...args);
      return { runtimeName: 'small', runtimeVersion: '1.0' };
    },
  });
  const runtime = await connectCri(path, 'unix:///socket', never);
  cleanUp(t, () => runtime.close());
  let closed: string | undefined;
  void runtime.closed.then(reason => {
    closed = reason;
  });
  const look = async (times = 1) => {
    for (let time = 0; time < times; time++) {
      t.mock.timers.tick(2_000);
      // Both ends are in this process: after some turns, whatever was asked at this look is answered.
      for (let turn = 0; turn < 100; turn++) await new Promise(resolve => setImmediate(resolve));
    }
  };
  return { runtime, look, asked: () => asked, closed: () => closed };
}

test('a runtime that answers nothing any more is given up after twelve seconds', limits, async t => {
  const { runtime, look, closed } = await connect(t, { version: hang });
  const pull = assert.rejects(
    runtime.pull({ name: 'r.io/a:1' }, never),
    /runtime does not answer: the runtime does not answer any more; look whether it hangs/,
  );
  await look(5);
  assert.equal(closed(), undefined);
  await look();
  await waitUntil(() => closed() !== undefined, { what: 'the end', timeoutMs: 5_000 });
  assert.equal(closed(), 'the runtime does not answer any more; look whether it hangs');
  await pull;
});

test(
  'one that is slow with a call and answers another is kept, and so is one that refuses',
  limits,
  async t => {
    for (const version of [() => ({}), () => Promise.reject(new Error('not now'))]) {
      await t.test(async t => {
        const { runtime, look, asked, closed } = await connect(t, { version, listImages: hang });
        const list = assert.rejects(runtime.listImages(never));
        await look(20);
        assert.deepEqual([closed(), asked()], [undefined, 11]);
        runtime.close();
        await list;
      });
    }
  },
);

test('nothing is asked while nothing is under way, nor while other answers come', limits, async t => {
  const { runtime, look, asked, closed } = await connect(t, { version: hang });
  const end = new AbortController();
  const pull = assert.rejects(runtime.pull({ name: 'r.io/a:1' }, end.signal));
  for (let time = 0; time < 20; time++) {
    await runtime.listImages(never);
    await look();
  }
  end.abort();
  await pull;
  await look(20);
  assert.deepEqual([asked(), closed()], [1, undefined]);
});

test('what was given up on this side is no answer', limits, async t => {
  const { runtime, look, closed } = await connect(t, { version: hang, listImages: hang });
  const pull = assert.rejects(runtime.pull({ name: 'r.io/a:1' }, never));
  for (let time = 0; time < 6; time++) {
    const list = assert.rejects(runtime.listImages(AbortSignal.timeout(1)));
    await look();
    await list;
  }
  await waitUntil(() => closed() !== undefined, { what: 'the end', timeoutMs: 5_000 });
  await pull;
});
