import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSettled, onceStatus } from '../../agent/status/settled.ts';
import { board, imageState } from './boards.ts';

const passing = { kind: 'unreachable', message: 'no' } as const;

test('a node is settled when nothing more would come of waiting', () => {
  const settled = [
    board(),
    board({ images: { images: [imageState('a:1', { state: 'present', warm: true })] } }),
    board({
      images: { images: [imageState('a:1', { state: 'failed', failure: { kind: 'auth', message: 'no' } })] },
    }),
    board({
      images: {
        images: [
          imageState('a:1', { state: 'failed', failure: passing, attempts: 3, nextAttemptAt: new Date() }),
        ],
      },
    }),
  ];
  for (const state of settled) assert.equal(isSettled(state, 0), true);
  const unsettled = [
    board({ board: { credentials: undefined } }),
    board({ images: { images: [imageState('a:1')] } }),
    board({ images: { images: [imageState('a:1', { state: 'pulling', failure: passing, attempts: 3 })] } }),
    board({
      images: {
        images: [
          imageState('a:1', { state: 'failed', failure: passing, attempts: 2, nextAttemptAt: new Date() }),
        ],
      },
    }),
  ];
  for (const state of unsettled) assert.equal(isSettled(state, 60_000), false);
});

test('a missing runtime is waited for, but not for ever', () => {
  const runtime = {
    state: 'unavailable',
    name: null,
    version: null,
    endpoint: null,
    reason: null,
    problem: 'no',
    capabilities: null,
  } as const;
  const state = board({ images: { runtime, images: [imageState('a:1')] } });
  assert.equal(isSettled(state, 1_000), false);
  assert.equal(isSettled(state, 31_000), true);
  assert.equal(onceStatus(state), 1);
  assert.equal(onceStatus(board()), 0);
});
