import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { SecretText } from '../../../agent/base/secret-text.ts';
import { connectCri } from '../../../agent/runtimes/cri/cri-runtime.ts';
import { PullFailure } from '../../../agent/runtimes/pull-failure.ts';
import { cleanUp } from '../../sandbox/cleanup.ts';
import { temporaryDirectory } from '../../sandbox/temporary.ts';
import { type SmallRuntimeAnswers, serveRuntime } from '../small-runtime.ts';

const limits = { timeout: 20_000 };
const never = new AbortController().signal;

async function connect(t: TestContext, answers: SmallRuntimeAnswers) {
  const path = join(await temporaryDirectory(t), 'socket');
  await serveRuntime(t, path, answers);
  const runtime = await connectCri(path, 'unix:///socket', never);
  cleanUp(t, () => runtime.close());
  return runtime;
}

test('a runtime other than containerd is used without progress', limits, async t => {
  const runtime = await connect(t, {
    listImages: () => ({
      images: [{ id: 'sha256:1', repoTags: ['r.io/a:1', 'r.io/a:2'], repoDigests: ['r.io/a@sha256:0'] }],
    }),
    imageFsInfo: () => ({}),
  });
  assert.deepEqual([runtime.name, runtime.version, runtime.progress], ['small', '1.0', undefined]);
  const image = { id: 'sha256:1', isPinned: false };
  const names = ['r.io/a:1', 'r.io/a:2', 'r.io/a@sha256:0'];
  assert.deepEqual(await runtime.listImages(never), new Map(names.map(name => [name, image])));
  assert.equal(await runtime.imageDirectory(never), undefined);
});

test('a runtime that does not know of the image file system is used without', limits, async t => {
  const imageFsInfo = () => {
    throw new ConnectError('no', Code.Unimplemented);
  };
  const runtime = await connect(t, { imageFsInfo });
  assert.equal(await runtime.imageDirectory(never), undefined);
});

test(
  "what calls itself containerd, and has not containerd's own API, is used by CRI alone",
  limits,
  async t => {
    let pulls = 0;
    const runtime = await connect(t, {
      version: () => ({ runtimeName: 'containerd', runtimeVersion: '1.0' }),
      pullImage: () => {
        pulls++;
        return {};
      },
    });
    assert.deepEqual(
      [runtime.name, runtime.progress, runtime.pins, runtime.watchDeletions],
      ['containerd', undefined, undefined, undefined],
    );
    await runtime.pull({ name: 'r.io/a:1' }, never);
    assert.equal(pulls, 1);
  },
);

test('the credential is sent as user and password, and none is sent where there is none', limits, async t => {
  const asked: unknown[] = [];
  const runtime = await connect(t, {
    pullImage: ({ image, auth }) => {
      asked.push([image?.image, auth?.username, auth?.password]);
      return {};
    },
  });
  const credential = { username: 'user', password: new SecretText('word') };
  await runtime.pull({ name: 'r.io/a:1', credential }, never);
  await runtime.pull({ name: 'r.io/a:1' }, never);
  assert.deepEqual(asked, [
    ['r.io/a:1', 'user', 'word'],
    ['r.io/a:1', undefined, undefined],
  ]);
});

test('a list of a thousand images with long names is read', limits, async t => {
  const repoTags = Array.from({ length: 1_000 }, (_, index) => `r.io/${'x'.repeat(5_000)}/${index}:1`);
  const runtime = await connect(t, { listImages: () => ({ images: [{ repoTags }] }) });
  assert.equal((await runtime.listImages(never)).size, 1_000);
});

test('what does not speak CRI v1 is told, and so is a runtime that refuses', limits, async t => {
  const path = join(await temporaryDirectory(t), 'socket');
  let code = Code.Unimplemented;
  const version = () => {
    throw new ConnectError('no', code);
  };
  await serveRuntime(t, path, { version });
  await assert.rejects(connectCri(path, 'unix:///x', never), /it does not speak CRI v1; upgrade the runtime/);
  code = Code.Internal;
  await assert.rejects(
    connectCri(path, 'unix:///x', never),
    /for its version: no; check the log of the runtime/,
  );
});

test('a call that fails says which, and a runtime that is only starting is waited for', limits, async t => {
  const fail = () => {
    throw new ConnectError('server is not initialized yet', Code.Unavailable);
  };
  const runtime = await connect(t, { listImages: fail, imageFsInfo: fail, pullImage: fail });
  await assert.rejects(
    runtime.listImages(never),
    /^Failure: listing the images of the .*: server is not init/,
  );
  await assert.rejects(runtime.imageDirectory(never), /^Failure: asking for the image file system of the/);
  await assert.rejects(
    runtime.pull({ name: 'r.io/a:1' }, never),
    error => error instanceof PullFailure && error.kind === 'runtime',
  );
});

test('a pull that is cancelled ends at once, and a thousand leave nothing behind', limits, async t => {
  let cancelled = 0;
  const runtime = await connect(t, {
    pullImage: (_request, { signal }) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => {
          cancelled++;
          reject(signal.reason);
        }),
      ),
  });
  const agent = new AbortController();
  for (let round = 0; round < 10; round++) {
    const pulls = Array.from({ length: 100 }, () => {
      const cancel = new AbortController();
      const done = runtime.pull({ name: 'r.io/a:1' }, AbortSignal.any([agent.signal, cancel.signal]));
      return { done, cancel };
    });
    // One answered call after them says that the runtime has them all.
    await runtime.listImages(agent.signal);
    for (const { cancel } of pulls) cancel.abort();
    await Promise.all(pulls.map(({ done }) => assert.rejects(done, PullFailure)));
  }
  await runtime.listImages(agent.signal);
  assert.ok(cancelled > 900, `${cancelled} were cancelled in the runtime, too`);
  assert.equal(getEventListeners(agent.signal, 'abort').length, 0);
});

test('what is under way when the connection is closed ends at once', limits, async t => {
  const runtime = await connect(t, { pullImage: () => new Promise(() => {}) });
  const pull = runtime.pull({ name: 'r.io/a:1' }, never);
  pull.catch(() => {}); // looked at below
  await runtime.listImages(never);
  runtime.close();
  await runtime.closed;
  await assert.rejects(pull, error => error instanceof PullFailure && error.kind === 'runtime');
  await assert.rejects(runtime.listImages(never), /listing the images .*: the connection is gone/);
});
