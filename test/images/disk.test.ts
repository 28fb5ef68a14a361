import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { measureDisk } from '../../agent/images/disk.ts';
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
