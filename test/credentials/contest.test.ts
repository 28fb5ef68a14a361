import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Contest } from '../../agent/credentials/contest.ts';

const resync = 600_000;

/** Repairs that many times, `pace` milliseconds apart, from `start` on; returns the time after the last one. */
function repair(contest: Contest, times: number, pace: number, start = 0): number {
  for (let time = 0; time < times; time++) contest.noteRepair(start + time * pace, resync);
  return start + times * pace;
}

test('ten repairs within a minute are a contest, nine are none', () => {
  const contest = new Contest();
  assert.equal(contest.isPaused(repair(contest, 9, 100)), false);
  contest.noteRepair(1_000, resync);
  assert.equal(contest.isPaused(1_001), true);
  assert.equal(contest.pauseLeft(2_000), resync - 1_000);
  assert.equal(contest.lost, 10);
});

test('as many repairs over a longer time are none', () => {
  const contest = new Contest();
  assert.equal(contest.isPaused(repair(contest, 50, 7_000)), false);
});

test('after the pause one repair is tried, and the first that is undone begins the next pause', () => {
  const contest = new Contest();
  repair(contest, 10, 10);
  const over = 90 + resync;
  assert.equal(contest.isPaused(over), false);
  contest.noteRepair(over + 50, resync);
  assert.equal(contest.isPaused(over + 51), true);
});

test('who keeps quiet for a minute after the pause has the same chance as before', () => {
  const contest = new Contest();
  repair(contest, 10, 10);
  const later = 90 + resync + 60_001;
  assert.equal(contest.isPaused(repair(contest, 9, 10, later)), false);
});
