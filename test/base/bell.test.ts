import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Bell } from '../../agent/base/bell.ts';

const never = new AbortController().signal;
const limits = { timeout: 5_000 };

test('a bell that was rung before anybody listened is heard at once, and only once', limits, async () => {
  const bell = new Bell();
  for (let time = 0; time < 100; time++) bell.ring();
  const asked = performance.now();
  await bell.heard(3_000, never);
  assert.ok(performance.now() - asked < 1_000);
  await bell.heard(50, never);
  assert.ok(performance.now() - asked >= 45, 'the second time it waits');
});

test('a wait of many days is no wait of none', limits, async () => {
  const bell = new Bell();
  const asked = performance.now();
  const woken = bell.heard(2 ** 40, AbortSignal.timeout(100));
  await woken;
  assert.ok(performance.now() - asked >= 90);
});

test('a listener is woken by the bell, by the time, and by the abort', limits, async () => {
  const bell = new Bell();
  const woken = bell.heard(60_000, never);
  bell.ring();
  await woken;
  await bell.heard(1, never);
  const abort = new AbortController();
  const aborted = bell.heard(60_000, abort.signal);
  abort.abort();
  await aborted;
  await bell.heard(60_000, abort.signal);
});

test('the last ring is never missed, however it falls between two listens', limits, async () => {
  const bell = new Bell();
  const last = 20_000;
  let truth = 0;
  let seen = 0;
  const listener = (async () => {
    while (seen < last) {
      seen = truth;
      if (seen < last) await bell.heard(60_000, never);
    }
  })();
  while (truth < last) {
    truth++;
    bell.ring();
    const pause = Math.random();
    if (pause < 0.1) await turn();
    else if (pause < 0.5) await undefined;
  }
  await listener;
});
