import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { planRetry, waitsForChange } from '../../agent/images/retry.ts';
import type { PullFailureKind } from '../../agent/runtimes/pull-failure.ts';

const backoff = { initial: 1_000, max: 300_000 };

/** What becomes of an image after a failure of each kind, and whether time alone brings the next attempt. */
const rule: Readonly<Record<PullFailureKind, readonly [state: string, byTime: boolean]>> = {
  auth: ['failed', false],
  'not-found': ['failed', false],
  platform: ['skipped', false],
  'bad-reference': ['failed', false],
  'rate-limited': ['failed', true],
  unreachable: ['failed', true],
  disk: ['waiting', true],
  timeout: ['failed', true],
  stalled: ['failed', true],
  runtime: ['waiting', true],
  unknown: ['failed', true],
};

test('each kind of failure has its state, and waits for time or for a change', () => {
  for (const [kind, [state, byTime]] of Object.entries(rule) as [PullFailureKind, [string, boolean]][]) {
    const plan = planRetry(kind, 1, backoff);
    assert.deepEqual(
      [plan.state, plan.delay < Infinity, waitsForChange(kind)],
      [state, byTime, !byTime],
      kind,
    );
    assert.equal(plan.registryPause > 0, kind === 'rate-limited', kind);
  }
});

test('the wait grows with the attempts up to the greatest, and a rate limit is given half a minute on average', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000 }), attempts => {
      const { delay } = planRetry('unreachable', attempts, backoff);
      assert.ok(delay >= 0 && delay <= Math.min(300_000, 1_000 * 2 ** (attempts - 1)));
      const { registryPause } = planRetry('rate-limited', attempts, { initial: 1, max: 1 });
      assert.ok(registryPause >= 15_000 && registryPause <= 45_000, `${registryPause}`);
    }),
  );
  const longest = Math.max(...Array.from({ length: 200 }, () => planRetry('unknown', 30, backoff).delay));
  assert.ok(longest > 150_000, `${longest}`);
});
