import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { codeOf, Failure, messageOf } from '../../agent/base/failure.ts';

test('a failure is one sentence: what was tried, the problem, the advice if there is any', () => {
  const cause = new Error('inner');
  const failure = new Failure({ tried: 'writing x', problem: 'it is full', advice: 'free some', cause });
  assert.equal(failure.message, 'writing x: it is full; free some');
  assert.equal(failure.cause, cause);
  assert.equal(failure.name, 'Failure');
  assert.equal(new Failure({ tried: 'writing x', problem: 'it is full' }).message, 'writing x: it is full');
});

test('whatever was thrown has a message, and a code only if it is one', async () => {
  assert.equal(messageOf(new Error('odd')), 'odd');
  assert.equal(messageOf('a text'), 'a text');
  assert.equal(messageOf(undefined), 'undefined');
  assert.equal(codeOf(await readFile('/no/such/file').catch(error => error)), 'ENOENT');
  for (const thrown of [
    new Error('odd'),
    Object.assign(new Error('odd'), { code: 5 }),
    { code: 'X' },
    null,
  ]) {
    assert.equal(codeOf(thrown), undefined);
  }
});
