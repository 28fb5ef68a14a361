import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PullSlots } from '../../agent/images/pull-slots.ts';

const limits = { concurrency: 2, perRegistry: 1 };

test('a slot is held until its pull has ended, for the node and for the registry', {
  timeout: 5_000,
}, async () => {
  const slots = new PullSlots();
  const told: string[] = [];
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  slots.hold('x.io', first.promise, () => told.push('first'));
  assert.deepEqual([slots.isFree('x.io', limits), slots.isFree('y.io', limits)], [false, true]);
  assert.equal(slots.isFree('x.io', { concurrency: 2, perRegistry: 2 }), true, 'limits may change');
  slots.hold('y.io', second.promise, () => told.push('second'));
  assert.equal(slots.isFree('z.io', limits), false);
  const ended = slots.ended();
  second.resolve();
  first.resolve();
  await ended;
  assert.deepEqual([told.toSorted(), slots.busy], [['first', 'second'], false]);
});

test('a registry that is left alone is free again after that, and no other one is concerned', () => {
  const slots = new PullSlots();
  slots.leaveAlone('x.io', 30_000);
  const left = slots.registryFreeAt('x.io') - performance.now();
  assert.ok(left > 29_000 && left <= 30_000, `${left}`);
  assert.equal(slots.registryFreeAt('y.io'), Number.NEGATIVE_INFINITY);
});

test('a longer pause is not made shorter by a later one', () => {
  const slots = new PullSlots();
  slots.leaveAlone('x.io', 300_000);
  slots.leaveAlone('x.io', 15_000);
  assert.ok(slots.registryFreeAt('x.io') - performance.now() > 290_000);
});
