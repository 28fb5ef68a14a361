import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toStatus } from '../../agent/status/status.ts';
import { formatProgress, formatSummary } from '../../agent/status/summary.ts';
import { board, imageState, targetState } from './boards.ts';

test('the summary shows files, images and what is wrong, in columns', () => {
  const images = [
    imageState('r.io/a:1', { state: 'present', warm: true, bytesTotal: 98_600_000, durationMs: 4_200 }),
    imageState('r.io/long-name:1', { state: 'failed', failure: { kind: 'auth', message: 'denied; check' } }),
    imageState('r.io/b:1', { state: 'present', warm: true }),
  ];
  const targets = [
    targetState({ foreign: 2 }),
    targetState({ path: '/x', state: 'failed', problem: 'writing /x: no' }),
  ];
  assert.equal(
    formatSummary(toStatus(board({ targets, images: { images } }))),
    `
node-1 is NOT ready

Credentials
  /var/lib/kubelet/config.json  current  1 of ours, 2 of others
  /x                            failed

Images
  r.io/a:1          present  pulled 98.6 MB in 4.2s
  r.io/long-name:1  failed   auth
  r.io/b:1          present  was there

Runtime
  containerd 1.6 at unix:///x
  because it is a test

Why not
  - writing /x: no
  - image r.io/long-name:1 failed: denied; check

`,
  );
});

test('the progress line tells every pull that is under way, and is empty without any', () => {
  const images = [
    imageState('r.io/team/a:1', { state: 'pulling', bytesDone: 55, bytesTotal: 100 }),
    imageState('r.io/b:1', { state: 'pulling' }),
    imageState('r.io/c:1', { state: 'present', warm: true }),
  ];
  const line = (shown: typeof images) =>
    formatProgress(toStatus(board({ images: { images: shown } })).images);
  assert.equal(line(images), '1/3 images, pulling a:1 [######....] 55% of 100 B, b:1 ...');
  assert.equal(line(images.slice(2)), '');
});
