import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ownership } from '../../agent/credentials/ownership.ts';
import { nothingOwned, type OwnedTarget } from '../../agent/credentials/ownership-record.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';

const target = '/var/lib/kubelet/config.json';

test('what is recorded is known to the next start, with the same digests', async t => {
  const directory = await temporaryDirectory(t);
  const ownership = await Ownership.load(directory);
  const digests = [ownership.digest('{"auth": "eDp5"}')];
  const entries = new Map([
    ['a.io', { source: 'team-a', digests }],
    ['__proto__', { source: 'team-a', digests }],
  ]);
  const original = { copy: 'x', link: null, directory: null, digest: 'd', mode: 0o644, uid: 0, gid: 0 };
  const owned: OwnedTarget = {
    created: true,
    directories: ['/root/.docker'],
    original,
    wrote: ['w'],
    entries,
    aside: new Map([['a.io', '{"auth":"x"}']]),
  };
  await ownership.record(target, owned);
  const again = await Ownership.load(directory);
  assert.deepEqual(again.of(target), owned);
  assert.deepEqual([...again.copies], ['x']);
  assert.deepEqual(again.targets, [target]);
  assert.deepEqual([again.digest('{"auth":"eDp5"}')], digests, 'formatting does not count');
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  assert.notEqual(again.digest(deep), digests[0], 'no nesting is a crash');
  assert.equal((await stat(join(directory, 'ownership.json'))).mode & 0o777, 0o600);
});

test('a target of which nothing is ours is forgotten', async t => {
  const directory = await temporaryDirectory(t);
  const ownership = await Ownership.load(directory);
  await ownership.record(target, { ...nothingOwned, created: true });
  await ownership.record(target, nothingOwned);
  assert.deepEqual((await Ownership.load(directory)).targets, []);
  assert.deepEqual(await readdir(directory), [], 'and so is the record of nothing');
});

test('a record that cannot be understood is set aside, and nothing is ours', async t => {
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'ownership.json'), '{"version": 99}');
  assert.deepEqual((await Ownership.load(directory)).targets, []);
  assert.equal(await readFile(join(directory, 'ownership.json.unreadable'), 'utf8'), '{"version": 99}');
});

test('a record that cannot be read or written is an error, and then the old one stays in force', async t => {
  const directory = await temporaryDirectory(t);
  const ownership = await Ownership.load(directory);
  await mkdir(join(directory, 'ownership.json/x'), { recursive: true });
  await assert.rejects(Ownership.load(directory), /reading the ownership record .*: it is a directory/);
  const wanted = { ...nothingOwned, created: true };
  await assert.rejects(ownership.record(target, wanted), /writing the ownership record/);
  assert.deepEqual(ownership.targets, []);
});

test('a record as large as the largest Secrets make it is read again', async t => {
  const directory = await temporaryDirectory(t);
  const ownership = await Ownership.load(directory);
  const digests = [ownership.digest('{}')];
  const entries = new Map(
    Array.from({ length: 80_000 }, (_, index) => [`registry-${index}.io`, { source: 's', digests }] as const),
  );
  await ownership.record(target, { ...nothingOwned, entries });
  assert.ok((await stat(join(directory, 'ownership.json'))).size > 8 * 2 ** 20);
  assert.equal((await Ownership.load(directory)).of(target).entries.size, 80_000);
});
