import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { measureDisk } from '../../agent/images/disk.ts';
import { DiskGuard } from '../../agent/images/disk-guard.ts';
import type { PullFailure } from '../../agent/runtimes/pull-failure.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';

test('the file system of the directory counts, or that of the nearest one above it which is mounted here', async t => {
  const hostRoot = await temporaryDirectory(t);
  await mkdir(join(hostRoot, 'var'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=10m', 'tmpfs', join(hostRoot, 'var')]);
  cleanUp(t, () => execFileSync('umount', [join(hostRoot, 'var')]));
  const space = await measureDisk('/var/lib/containerd', hostRoot, { share: 0.2 });
  assert.deepEqual(space, { path: '/var', freeBytes: 10 * 2 ** 20, keepFreeBytes: 2 * 2 ** 20 });
  assert.equal((await measureDisk('/var', hostRoot, { bytes: 5 })).keepFreeBytes, 5);
});

test('too little room is told at every look, with how much there is', async t => {
  const reasons: PullFailure[] = [];
  const rooms: string[] = [];
  const guard = new DiskGuard(
    await temporaryDirectory(t),
    reason => reasons.push(reason),
    () => rooms.push('room'),
  );
  await guard.look({ bytes: 2 ** 60 });
  assert.deepEqual([reasons.length, guard.isLow, guard.space], [0, false, null]);
  guard.directory = '/';
  await guard.look({ bytes: 2 ** 60 });
  await guard.look({ bytes: 2 ** 60 });
  assert.equal(guard.isLow, true);
  assert.match(
    reasons[1]?.message ?? '',
    /are free on the file system of \/, .* are to be kept free; free space/,
  );
  await guard.look({ bytes: 0 });
  await guard.look({ bytes: 0 });
  assert.deepEqual(rooms, ['room'], 'told once');
  assert.deepEqual([reasons.length, guard.isLow], [2, false]);
});
