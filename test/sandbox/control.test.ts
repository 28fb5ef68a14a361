import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { cleanUp } from './cleanup.ts';
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
    cleanUp(t, () => control.close());
    assert.equal(await sendControl(directory, ['this']), 'did this');
    await assert.rejects(sendControl(directory, ['fail']), { message: 'it failed' });
  },
);

test(
  'only one sandbox works in a directory at a time, and the second one is told of it',
  options,
  async t => {
    const directory = await temporaryDirectory(t);
    const first = await serveControl(directory, async () => '');
    cleanUp(t, () => first.close().catch(() => undefined));
    const elsewhere = await serveControl(join(directory, 'elsewhere'), async () => '');
    cleanUp(t, () => elsewhere.close());
    await assert.rejects(
      serveControl(directory, async () => ''),
      (error: Error) =>
        error instanceof SandboxRunningError && error.message.includes(`(process ${process.pid})`),
    );
    await first.close();
    await assert.rejects(sendControl(directory, ['x']), /No sandbox is running/);
    await (await serveControl(directory, async () => '')).close();
  },
);
