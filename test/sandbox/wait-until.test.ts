import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitUntil } from './wait-until.ts';

const options = { timeout: 5000 };

test('waiting ends when the condition is true, whatever it was or threw before', options, async () => {
  const answers = [() => false, () => assert.fail('not yet'), async () => true];
  await waitUntil(() => answers.shift()?.() ?? false, { what: 'the third answer', timeoutMs: 4000 });
  assert.equal(answers.length, 0);
});

test(
  'waiting in vain ends when the time is up, and says for what and what was wrong last',
  options,
  async () => {
    const cause = new Error('still wrong');
    const waiting = waitUntil(() => Promise.reject(cause), { what: 'a miracle', timeoutMs: 50 });
    await assert.rejects(waiting, { message: 'waited 50 ms in vain for a miracle', cause });
  },
);
