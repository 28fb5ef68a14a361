import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DiskGuard } from '../../agent/images/disk-guard.ts';
import type { PullFailure } from '../../agent/runtimes/pull-failure.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';

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

test('what cannot be measured is told and guards nothing: a disk that was low may be another one by now', async t => {
  const hostRoot = await temporaryDirectory(t);
  await writeFile(join(hostRoot, 'file'), '');
  const told: string[] = [];
  const guard = new DiskGuard(
    hostRoot,
    () => told.push('low'),
    () => told.push('room'),
  );
  guard.directory = '/';
  await guard.look({ bytes: 2 ** 60 });
  guard.directory = '/file/images';
  await guard.look({ bytes: 2 ** 60 });
  assert.match(
    guard.problem ?? '',
    /measuring the file system of \/file\/images: a part of the path is not a/,
  );
  assert.deepEqual([guard.isLow, guard.space, told], [false, null, ['low', 'room']]);
  guard.directory = undefined;
  await guard.look({ bytes: 2 ** 60 });
  assert.match(guard.problem ?? '', /does not say where its images are/);
  guard.directory = '/';
  await guard.look({ bytes: 1 });
  assert.deepEqual([guard.problem, guard.isLow], [null, false]);
});
