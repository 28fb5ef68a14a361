import assert from 'node:assert/strict';
import { type FSWatcher, watch } from 'node:fs';
import { lstat, readdir, readFile, readlink, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readKubeletVolume, updateKubeletVolume } from './kubelet-volume.ts';
import { temporaryDirectory } from './temporary.ts';
import { waitUntil } from './wait-until.ts';

const options = { timeout: 10_000 };

test('a volume has its files in a timestamped directory, reached through two links', options, async t => {
  const volume = join(await temporaryDirectory(t), 'secret');
  assert.equal(await updateKubeletVolume(volume, { '.dockerconfigjson': '{}', other: 'x' }), true);

  const generation = await readlink(join(volume, '..data'));
  assert.match(generation, /^\.\.\d{4}(_\d\d){5}\.\d+$/);
  assert.deepEqual(
    (await readdir(volume)).sort(),
    [generation, '..data', '.dockerconfigjson', 'other'].sort(),
  );
  assert.equal(await readlink(join(volume, '.dockerconfigjson')), '..data/.dockerconfigjson');
  assert.equal(await readFile(join(volume, 'other'), 'utf8'), 'x');
  assert.equal((await stat(join(volume, generation))).mode & 0o777, 0o755);
  assert.equal((await stat(join(volume, generation, 'other'))).mode & 0o777, 0o644);
});

test('modes do not depend on the umask', options, async t => {
  const volume = await temporaryDirectory(t);
  const umask = process.umask(0o077);
  t.after(() => process.umask(umask));
  await updateKubeletVolume(volume, { key: 'x' });
  assert.equal((await stat(join(volume, '..data'))).mode & 0o777, 0o755);
  assert.equal((await stat(join(volume, 'key'))).mode & 0o777, 0o644);
});

test('an update happens in the order of the kubelet', options, async t => {
  const volume = await temporaryDirectory(t);
  await updateKubeletVolume(volume, { kept: '1', removed: '1' });
  const before = await readlink(join(volume, '..data'));
  const events = recordEvents(t.signal, volume);

  await updateKubeletVolume(volume, { kept: '2', added: '2' });
  const after = await readlink(join(volume, '..data'));
  await waitUntil(() => events.at(-1) === before, {
    what: 'the old directory to be removed',
    timeoutMs: 5000,
  });
  assert.deepEqual(events, [after, '..data_tmp', '..data', 'added', 'removed', before]);
});

test('the files are complete before the one moment of change', options, async t => {
  const volume = await temporaryDirectory(t);
  // Large enough that writing it takes longer than the grain of the times that the file system keeps.
  await updateKubeletVolume(volume, { key: 'x'.repeat(50_000_000) });
  const file = await stat(join(volume, 'key'), { bigint: true });
  const link = await lstat(join(volume, '..data'), { bigint: true });
  assert.ok(file.ctimeNs <= link.ctimeNs, `written ${file.ctimeNs - link.ctimeNs} ns too late`);
});

test('an update that was killed in the middle does not hinder the next one', options, async t => {
  const volume = await temporaryDirectory(t);
  await updateKubeletVolume(volume, { key: '1' });
  await symlink('..a-directory-of-the-killed-one', join(volume, '..data_tmp'));
  await updateKubeletVolume(volume, { key: '2' });
  assert.equal(await readFile(join(volume, 'key'), 'utf8'), '2');
});

test('the links that users see are the same ones after an update', options, async t => {
  const volume = await temporaryDirectory(t);
  await updateKubeletVolume(volume, { key: '1' });
  const before = await inode(join(volume, 'key'));
  await updateKubeletVolume(volume, { key: '2' });
  assert.equal(await inode(join(volume, 'key')), before);
  assert.equal(await readFile(join(volume, 'key'), 'utf8'), '2');
});

test('an unchanged payload writes nothing', options, async t => {
  const volume = await temporaryDirectory(t);
  for (const payload of [{ b: '2', a: '1' }, {}]) {
    await updateKubeletVolume(volume, payload);
    const before = await readlink(join(volume, '..data'));
    assert.equal(await updateKubeletVolume(volume, payload), false);
    assert.equal(await readlink(join(volume, '..data')), before);
  }
});

test('a key that is gone is gone, and an empty payload leaves ..data alone', options, async t => {
  const volume = await temporaryDirectory(t);
  await updateKubeletVolume(volume, { a: '1', b: '2' });
  await updateKubeletVolume(volume, { b: '2' });
  assert.deepEqual(await readKubeletVolume(volume), { b: '2' });
  assert.ok(!(await readdir(volume)).includes('a'));

  await updateKubeletVolume(volume, {});
  const generation = await readlink(join(volume, '..data'));
  assert.deepEqual((await readdir(volume)).sort(), [generation, '..data'].sort());
  assert.deepEqual(await readdir(join(volume, '..data')), []);
});

test('what cannot be a key of a Secret is refused before anything is written', options, async t => {
  const volume = await temporaryDirectory(t);
  for (const key of ['..data', 'a/b', '', '.'])
    await assert.rejects(updateKubeletVolume(volume, { [key]: 'x' }), /no key of a Secret/);
  assert.deepEqual(await readdir(volume), []);
});

/** The names that something happened to, in order, without immediate repetitions. */
function recordEvents(signal: AbortSignal, directory: string): string[] {
  const events: string[] = [];
  const watcher: FSWatcher = watch(directory, { signal });
  watcher.on('change', (_type, name) => {
    if (String(name) !== events.at(-1)) events.push(String(name));
  });
  return events;
}

async function inode(path: string): Promise<number> {
  return (await lstat(path)).ino;
}
