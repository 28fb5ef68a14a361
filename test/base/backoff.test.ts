import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { backoffDelay } from '../../agent/base/backoff.ts';

test('the longest wait doubles with every failure up to the maximum', () => {
  const longest = [1, 2, 3, 4, 5, 100_000].map(failures =>
    backoffDelay({ initial: 1_000, max: 6_000 }, failures, () => 1),
  );
  assert.deepEqual(longest, [1_000, 2_000, 4_000, 6_000, 6_000, 6_000]);
});

test('a wait is any part of the longest one', () => {
  assert.equal(
    backoffDelay({ initial: 1_000, max: 6_000 }, 2, () => 0.25),
    500,
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), failures => {
      const delay = backoffDelay({ initial: 100, max: 3_600_000 }, failures);
      return delay >= 0 && delay <= 3_600_000;
    }),
  );
});
