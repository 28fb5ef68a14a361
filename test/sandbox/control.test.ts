import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SandboxRunningError, sendControl, serveControl } from './control.ts';
import { temporaryDirectory } from './temporary.ts';

const options = { timeout: 10_000 };

test(
  'a command reaches the sandbox of its directory, and the answer or the error comes back',
  options,
  async t => {
    const directory = await temporaryDirectory(t);
    const control = await serveControl(directory, async ([word]) => {
      if (word === 'fail') throw new Error('it failed');
      return `did ${word}`;
    });
    t.after(() => control.close());
    assert.equal(await sendControl(directory, ['this']), 'did this');
    await assert.rejects(sendControl(directory, ['fail']), { message: 'it failed' });
  },
);

test('only one sandbox works in a directory at a time', options, async t => {
  const directory = await temporaryDirectory(t);
  const first = await serveControl(directory, async () => '');
  await assert.rejects(
    serveControl(directory, async () => ''),
    SandboxRunningError,
  );
  await first.close();
  await assert.rejects(sendControl(directory, ['x']), /No sandbox is running/);
  await (await serveControl(directory, async () => '')).close();
});
