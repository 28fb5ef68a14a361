import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { removeFile, removeLeftovers, replaceFile } from '../../agent/base/replace-file.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';

const limits = { timeout: 10_000 };

test('the file is 0600 and its new directories 0700, whatever the umask', limits, async t => {
  const umask = process.umask();
  cleanUp(t, () => process.umask(umask));
  for (const mask of [0o000, 0o022, 0o277]) {
    process.umask(mask);
    const path = join(await temporaryDirectory(t), 'a/b/config.json');
    await replaceFile(path, 'new');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    for (const up of ['..', '../..']) assert.equal((await stat(join(path, up))).mode & 0o077, 0);
  }
});

test('an old file is replaced by another one, never written into', limits, async t => {
  const path = join(await temporaryDirectory(t), 'config.json');
  await writeFile(path, 'old', { mode: 0o644 });
  const { ino } = await stat(path);
  await replaceFile(path, 'new');
  assert.equal(await readFile(path, 'utf8'), 'new');
  assert.notEqual((await stat(path)).ino, ino);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test('a link is replaced, and what it leads to is left alone', limits, async t => {
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'other'), 'theirs');
  await symlink('other', join(directory, 'config.json'));
  await replaceFile(join(directory, 'config.json'), 'new');
  assert.equal(await readFile(join(directory, 'other'), 'utf8'), 'theirs');
  assert.equal(await readFile(join(directory, 'config.json'), 'utf8'), 'new');
});

test('on a full disk the old file stays whole and nothing is left behind', limits, async t => {
  const directory = await mountedTmpfs(t, 'size=64k');
  const path = join(directory, 'config.json');
  await replaceFile(path, 'old');
  await assert.rejects(replaceFile(path, 'x'.repeat(200_000)), { code: 'ENOSPC' });
  assert.equal(await readFile(path, 'utf8'), 'old');
  assert.deepEqual(await readdir(directory), ['config.json']);
});

test('without an inode for the new file the old one stays', limits, async t => {
  const directory = await mountedTmpfs(t, 'nr_inodes=3');
  const path = join(directory, 'config.json');
  await replaceFile(path, 'old');
  await writeFile(join(directory, 'last'), '');
  await assert.rejects(replaceFile(path, 'new'), { code: 'ENOSPC' });
  assert.equal(await readFile(path, 'utf8'), 'old');
});

test('on a read-only file system the error is told and nothing changes', limits, async t => {
  const directory = await mountedTmpfs(t, 'size=64k');
  const path = join(directory, 'config.json');
  await replaceFile(path, 'old');
  execFileSync('mount', ['-o', 'remount,ro', directory]);
  await assert.rejects(replaceFile(path, 'new'), { code: 'EROFS' });
  assert.equal(await readFile(path, 'utf8'), 'old');
});

test('what a killed process left beside the file is removed, and nothing else', limits, async t => {
  const directory = await temporaryDirectory(t);
  for (const name of ['.config.json.pullready-0123456789ab', '.config.json.other', 'config.json']) {
    await writeFile(join(directory, name), '');
  }
  await removeLeftovers(join(directory, 'config.json'));
  assert.deepEqual((await readdir(directory)).sort(), ['.config.json.other', 'config.json']);
  await removeLeftovers(join(directory, 'no/such/config.json'));
});

test('a process that is killed in the middle leaves a whole file', limits, async t => {
  const path = join(await temporaryDirectory(t), 'config.json');
  await replaceFile(path, 'x'.repeat(100_000));
  for (let round = 0; round < 5; round++) {
    const writer = spawn(process.execPath, ['--input-type=module', '--eval', endlessWriter, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    cleanUp(t, () => writer.kill('SIGKILL'));
    await once(writer.stdout, 'data');
    const killed = performance.now() + 30 * Math.random();
    while (performance.now() < killed) {
      const text = await readFile(path, 'utf8');
      assert.ok(/^(.)\1*$/.test(text) && text.length === 100_000, text.slice(0, 10));
    }
    writer.kill('SIGKILL');
    await once(writer, 'exit');
    assert.match(await readFile(path, 'utf8'), /^(.)\1{99999}$/);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  }
  await removeLeftovers(path);
  assert.deepEqual(await readdir(join(path, '..')), ['config.json']);
});

/** Replaces the file of its argument for ever, by 100,000 times one letter and then another. */
const endlessWriter = `
  import { replaceFile } from ${JSON.stringify(new URL('../../agent/base/replace-file.ts', import.meta.url).href)};
  for (let round = 0; ; round++) {
    await replaceFile(process.argv[1], 'abcdefgh'[round % 8].repeat(100_000));
    if (round === 0) process.stdout.write('writing');
  }`;

test('removing a file that is not there is no error', limits, async t => {
  const path = join(await temporaryDirectory(t), 'config.json');
  await removeFile(path);
  await removeFile(join(path, '../no/such/directory/config.json'));
  await writeFile(path, '');
  await chmod(path, 0o400);
  await removeFile(path);
  await assert.rejects(stat(path), { code: 'ENOENT' });
});

async function mountedTmpfs(t: TestContext, options: string): Promise<string> {
  const directory = await temporaryDirectory(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory]);
  cleanUp(t, () => execFileSync('umount', [directory]));
  return directory;
}
