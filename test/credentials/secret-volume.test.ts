import assert from 'node:assert/strict';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readSecretVolumes } from '../../agent/credentials/secret-volume.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { updateKubeletVolume } from '../sandbox/kubelet-volume.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { startSwaps } from './volume-swaps.ts';

const limits = { timeout: 20_000 };

test('every directory is a Secret, or the directory itself is one', limits, async t => {
  const directory = await temporaryDirectory(t);
  await updateKubeletVolume(join(directory, 'b'), { '.dockerconfigjson': '{"b":1}' });
  await updateKubeletVolume(join(directory, 'a'), { '.dockercfg': '{"a":1}', other: 'x' });
  await updateKubeletVolume(join(directory, 'empty'), {});
  await mkdir(join(directory, 'plain'));
  await writeFile(join(directory, 'plain/config.json'), '{"p":1}');
  await writeFile(join(directory, 'no-directory'), '');
  await symlink('no-such', join(directory, 'dangling'));
  const all = await readSecretVolumes(directory);
  assert.ok(all.ok);
  assert.deepEqual(Object.fromEntries(all.volumes), {
    a: { kind: 'document', file: '.dockercfg', form: 'dockercfg', text: '{"a":1}' },
    b: { kind: 'document', file: '.dockerconfigjson', form: 'dockerconfigjson', text: '{"b":1}' },
    empty: { kind: 'empty' },
    plain: { kind: 'document', file: 'config.json', form: 'dockerconfigjson', text: '{"p":1}' },
  });
  const one = await readSecretVolumes(join(directory, 'b'));
  assert.ok(one.ok);
  assert.deepEqual([...one.volumes.keys()], ['b']);
});

test('a directory that cannot be read says why', limits, async t => {
  const directory = await temporaryDirectory(t);
  const missing = await readSecretVolumes(join(directory, 'missing'));
  assert.ok(
    !missing.ok && /reading the secrets directory .*missing: it does not exist/.test(missing.problem),
  );
  await mkdir(join(directory, 'a/.dockerconfigjson'), { recursive: true });
  const odd = await readSecretVolumes(directory);
  assert.ok(odd.ok);
  assert.equal(odd.volumes.get('a')?.kind, 'unreadable');
});

test('a Secret that cannot be looked at is not taken for one that is gone', limits, async t => {
  const directory = await temporaryDirectory(t);
  await updateKubeletVolume(join(directory, 'a'), { '.dockerconfigjson': '{}' });
  await symlink('loop', join(directory, 'loop'));
  assert.ok((await readSecretVolumes(directory)).ok);
  // Readable but not searchable: the names are there, and what they name cannot be reached by anybody but root.
  await chmod(directory, 0o744);
  cleanUp(t, () => process.seteuid?.(0));
  process.seteuid?.(65_534);
  const blind = await readSecretVolumes(directory);
  assert.ok(!blind.ok && /permission denied/.test(blind.problem), JSON.stringify(blind));
});

test('a read during swaps is one generation, whole', limits, async t => {
  const directory = await temporaryDirectory(t);
  const volume = join(directory, 'a');
  await updateKubeletVolume(volume, { 'config.json': '0' });
  // From another process, which removes the old generation while one of ours is in the middle of reading it.
  const swaps = startSwaps(t, volume);
  const reader = async () => {
    let seen = 0;
    while (!swaps.done) {
      const all = await readSecretVolumes(directory);
      assert.ok(all.ok);
      const secret = all.volumes.get('a');
      assert.ok(secret?.kind === 'document', JSON.stringify(secret).slice(0, 200));
      const [first, last = first] = secret.text.split(/ +/);
      assert.equal(first, last);
      assert.ok(Number(first) >= seen, 'never an older one');
      seen = Number(first);
    }
    assert.ok(seen > 100);
  };
  await Promise.all([swaps.ended, reader(), reader()]);
});
