import assert from 'node:assert/strict';
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeEntry } from '../../agent/credentials/entry.ts';
import { Ownership } from '../../agent/credentials/ownership.ts';
import { combineSources, type Source } from '../../agent/credentials/sources.ts';
import { reconcileTarget } from '../../agent/credentials/target.ts';
import { encodeBasicAuth } from '../../agent/docker-config/basic-auth.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { basicEntry } from './entries.ts';
import { webToken } from './tokens.ts';

const limits = { timeout: 10_000 };
const path = '/var/lib/kubelet/config.json';
const now = new Date('2026-01-01T12:00:00Z');
const minutes = (count: number) => new Date(now.getTime() + count * 60_000);
const farAhead = new Date('2038-01-19T03:14:08Z');

const token = webToken({ exp: minutes(30).getTime() / 1_000 }).reveal();
const source: Source = {
  name: 'team-a',
  state: 'current',
  entries: [
    makeEntry({ registry: 'a.io', source: 'team-a', auth: encodeBasicAuth('oauth', token) }),
    basicEntry('b.io'),
  ],
  helpers: [],
  leftOut: [],
  problems: [],
};

async function emptyNode(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const [hostRoot, stateDirectory] = [join(directory, 'host'), join(directory, 'state')];
  await mkdir(dirname(join(hostRoot, path)), { recursive: true });
  const ownership = await Ownership.load(stateDirectory);
  return {
    file: join(hostRoot, path),
    /** The look of an agent whose clock says `time`. */
    look: (time: Date) =>
      reconcileTarget({ path, hostRoot, stateDirectory, ownership }, combineSources([source], time).entries),
  };
}

test('what a clock that jumps ahead takes out is back once it is set right', limits, async t => {
  const { file, look } = await emptyNode(t);
  await writeFile(file, '{"auths": {"a.io": {"auth": "eDp5"}}}');
  const before = await look(now);
  assert.deepEqual([before.managed, before.displaced], [2, ['a.io']]);
  for (const jumped of [minutes(31), farAhead]) {
    const during = await look(jumped);
    assert.deepEqual([during.state, during.managed, during.foreign], ['current', 1, 1]);
    const { auths } = JSON.parse(await readFile(file, 'utf8'));
    assert.deepEqual(auths['a.io'], { auth: 'eDp5' }, 'what it displaced stands in for it');
    assert.ok(auths['b.io'], 'a password knows no end');
    const after = await look(now);
    assert.deepEqual([after.displaced, after.drifted], [['a.io'], false]);
    assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), JSON.parse(before.text ?? ''));
  }
  assert.equal((await look(new Date(0))).written, false, 'a clock that jumps back takes nothing out');
});

test('a file that was changed in the future is written to all the same', limits, async t => {
  const { file, look } = await emptyNode(t);
  await writeFile(file, 'garbage');
  await utimes(file, farAhead, farAhead);
  assert.deepEqual([(await look(now)).state, (await look(now)).written], ['current', false]);
  await utimes(file, farAhead, farAhead);
  assert.equal((await look(minutes(31))).managed, 1);
});
