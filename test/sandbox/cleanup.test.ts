import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanUp } from './cleanup.ts';

test('after a test the last step that was registered is done first', { timeout: 5000 }, async t => {
  const done: string[] = [];
  await t.test('a test with two steps', inner => {
    cleanUp(inner, () => done.push('remove the directory'));
    cleanUp(inner, () => done.push('end what works in it'));
  });
  assert.deepEqual(done, ['end what works in it', 'remove the directory']);
});
