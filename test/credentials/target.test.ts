import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdir,
  readdir,
  readFile,
  rename,
  rmdir,
  stat,
  symlink,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SecretText } from '../../agent/base/secret-text.ts';
import { makeEntry } from '../../agent/credentials/entry.ts';
import { Ownership } from '../../agent/credentials/ownership.ts';
import { reconcileTarget } from '../../agent/credentials/target.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';

const limits = { timeout: 10_000 };
const path = '/root/.docker/config.json';
const ours = makeEntry({ registry: 'a.io', source: 'team-a', auth: new SecretText('dTpw') });

async function emptyNode(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const hostRoot = join(directory, 'host');
  const stateDirectory = join(directory, 'state');
  await mkdir(hostRoot);
  const ownership = await Ownership.load(stateDirectory);
  const place = { path, hostRoot, stateDirectory, ownership };
  return { directory, hostRoot, stateDirectory, place, file: join(hostRoot, path) };
}

test('a link above a directory that is still missing leads nothing out of the node', limits, async t => {
  const { directory, hostRoot, place } = await emptyNode(t);
  await mkdir(join(directory, 'outside'));
  for (const link of [join(directory, 'outside'), '../outside']) {
    await symlink(link, join(hostRoot, 'root'));
    const outcome = await reconcileTarget(place, [ours]);
    assert.equal(outcome.state, 'refused');
    assert.match(outcome.problem ?? '', /leads out of the node's root/);
    assert.deepEqual(await readdir(join(directory, 'outside')), []);
    await unlink(join(hostRoot, 'root'));
  }
  await mkdir(join(hostRoot, 'var/roothome'), { recursive: true });
  await symlink('var/roothome', join(hostRoot, 'root'));
  assert.equal((await reconcileTarget(place, [ours])).state, 'current', 'a link within the node is none out');
});

test('a root of the node that is not mounted is a failure, and nothing is made', limits, async t => {
  const { directory, place } = await emptyNode(t);
  await rmdir(join(directory, 'host'));
  const outcome = await reconcileTarget(place, [ours]);
  assert.equal(outcome.state, 'failed');
  assert.match(
    outcome.problem ?? '',
    /looking for the node's root at .*host: it does not exist; mount it there/,
  );
  assert.deepEqual(await readdir(directory), []);
});

test(
  'a directory in the place of the file is moved aside, unless there is nothing to write',
  limits,
  async t => {
    const { file, place } = await emptyNode(t);
    await mkdir(file, { recursive: true });
    assert.deepEqual(
      [(await reconcileTarget(place, [])).written, (await stat(file)).isDirectory()],
      [false, true],
    );
    const { state, problem, foreign } = await reconcileTarget(place, [ours]);
    assert.deepEqual([state, problem, foreign], ['current', null, 0]);
    assert.ok((await stat(file)).isFile());
  },
);

test('a directory that is a mount point is told, and written once it is gone', limits, async t => {
  const { file, place } = await emptyNode(t);
  await mkdir(file, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', file]);
  try {
    const outcome = await reconcileTarget(place, [ours]);
    assert.equal(outcome.state, 'failed');
    assert.match(
      outcome.problem ?? '',
      /writing \/root\/.docker\/config.json: it is in use as a mount point/,
    );
  } finally {
    execFileSync('umount', [file]);
  }
  assert.equal((await reconcileTarget(place, [ours])).state, 'current');
});

test('what is no docker config is kept to the byte before it is replaced', limits, async t => {
  const { file, stateDirectory, place } = await emptyNode(t);
  const bytes = Buffer.from([0xff, 0xfe, 0x00, 0x7b, 0xc3]);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, bytes);
  assert.equal((await reconcileTarget(place, [])).written, false, 'not replaced by nothing');
  assert.deepEqual(await readFile(file), bytes);
  const young = await reconcileTarget(place, [ours]);
  assert.deepEqual([young.state, young.written], ['failed', false], 'somebody may be writing it just now');
  assert.match(young.problem ?? '', /no docker config \(it may be in the middle of being written\)/);
  await utimes(file, new Date(0), new Date(0));
  assert.equal((await reconcileTarget(place, [ours])).state, 'current');
  const [copy = ''] = await readdir(join(stateDirectory, 'replaced'));
  assert.match(copy, /^root_.docker_config.json-[0-9a-f]{12}$/);
  assert.deepEqual(await readFile(join(stateDirectory, 'replaced', copy)), bytes);
  assert.equal((await stat(join(stateDirectory, 'replaced', copy))).mode & 0o777, 0o600);
});

test("somebody's entry nested without end is kept aside and put back", limits, async t => {
  const { file, place } = await emptyNode(t);
  await mkdir(join(file, '..'), { recursive: true });
  for (const depth of [1_000, 2_500, 4_000]) {
    const theirs = `{"auths": {"a.io": ${'['.repeat(depth)}${']'.repeat(depth)}}}`;
    await writeFile(file, theirs);
    const placed = await reconcileTarget(place, [ours]);
    assert.deepEqual([placed.state, placed.problem], ['current', null], `${depth}`);
    assert.equal((await reconcileTarget(place, [])).state, 'current');
  }
});

test('a change that somebody makes while we write is merged and not lost', limits, async t => {
  const { file, place } = await emptyNode(t);
  await mkdir(join(file, '..'), { recursive: true });
  let changes = 0;
  /** Renames another file over ours, as docker's own CLI does it. */
  const change = async () => {
    changes++;
    await writeFile(`${file}.theirs`, `{"auths": {"b.io": {"auth": "eDp5"}}, "change": ${changes}}`);
    await rename(`${file}.theirs`, file);
  };
  const { ownership } = place;
  const meddledWith = (times: number) => ({
    ...place,
    ownership: {
      of: (target: string) => ownership.of(target),
      digest: (value: string) => ownership.digest(value),
      digestBytes: (bytes: string | Uint8Array) => ownership.digestBytes(bytes),
      copies: ownership.copies,
      // The record is written between the read and the rename: there somebody changes the file.
      async record(...record: Parameters<Ownership['record']>) {
        await ownership.record(...record);
        if (changes < times) await change();
      },
    },
  });
  const outcome = await reconcileTarget(meddledWith(3), [ours]);
  assert.deepEqual([outcome.state, outcome.foreign], ['current', 1]);
  assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), {
    auths: { 'b.io': { auth: 'eDp5' }, 'a.io': { auth: 'dTpw' } },
    change: 3,
  });
  await change();
  const contested = await reconcileTarget(meddledWith(1_000), [ours]);
  assert.equal(contested.state, 'failed');
  assert.match(
    contested.problem ?? '',
    /\/root\/.docker\/config.json is not written: somebody else keeps changing it/,
  );
});

test('what still voids the file for the kubelet, and is no entry, is told', limits, async t => {
  const { hostRoot, place: dockers } = await emptyNode(t);
  const place = { ...dockers, path: '/var/lib/kubelet/config.json' };
  const file = join(hostRoot, place.path);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, '{"HttpHeaders": {"X": 3}, "auths": {"b.io": {"auth": "nocolon"}}}');
  const outcome = await reconcileTarget(place, [ours]);
  assert.deepEqual([outcome.state, outcome.written, outcome.setAside], ['failed', true, ['b.io']]);
  assert.match(
    outcome.problem ?? '',
    /dropped by the kubelet as a whole: a header of its "HttpHeaders" is a number/,
  );
  assert.equal((await reconcileTarget(place, [])).state, 'current');
});

test('without room for the record the file is not touched', limits, async t => {
  const { file, stateDirectory, place } = await emptyNode(t);
  await mkdir(stateDirectory, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', stateDirectory]);
  cleanUp(t, () => execFileSync('umount', [stateDirectory]));
  const outcome = await reconcileTarget(place, [ours]);
  assert.equal(outcome.state, 'failed');
  assert.match(outcome.problem ?? '', /writing the ownership record .*: the file system is read-only/);
  await assert.rejects(stat(file), { code: 'ENOENT' });
});

test(
  'what a killed agent left beside the file is cleaned, and the next look settles the record',
  limits,
  async t => {
    const { file, stateDirectory, place } = await emptyNode(t);
    await reconcileTarget(place, [ours]);
    await writeFile(join(file, '../.config.json.pullready-0123456789ab'), '{"auths": {"a.io": {"au');
    // The record as it is between the two steps: both values are known as ours.
    const rotated = makeEntry({ ...ours, auth: new SecretText('dTpx') });
    const owned = place.ownership.of(path);
    const digests = [ours, rotated].map(({ auth }) =>
      place.ownership.digest(JSON.stringify({ auth: auth?.reveal() })),
    );
    await place.ownership.record(path, {
      ...owned,
      entries: new Map([['a.io', { source: 'team-a', digests }]]),
    });
    const again = { ...place, ownership: await Ownership.load(stateDirectory) };
    const outcome = await reconcileTarget(again, [rotated]);
    assert.deepEqual([outcome.state, outcome.displaced, outcome.foreign], ['current', [], 0]);
    assert.deepEqual(await readdir(join(file, '..')), ['config.json']);
    assert.deepEqual(again.ownership.of(path).entries.get('a.io')?.digests, [digests[1]]);
    await reconcileTarget(again, []);
    await assert.rejects(stat(file), { code: 'ENOENT' });
  },
);

test(
  'what is revoked while somebody rewrites the file in steps is out of it once that is whole',
  limits,
  async t => {
    const { file, place } = await emptyNode(t);
    const theirs = { 'b.io': { auth: 'eDp5' } };
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, JSON.stringify({ auths: theirs }));
    assert.equal((await reconcileTarget(place, [ours])).state, 'current');
    await writeFile(file, '');
    assert.equal((await reconcileTarget(place, [])).state, 'failed', 'our entry may be in what comes next');
    await writeFile(file, JSON.stringify({ auths: { ...theirs, 'a.io': { auth: 'dTpw' } } }));
    assert.equal((await reconcileTarget(place, [])).state, 'current');
    assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), { auths: theirs });
  },
);

test(
  'what somebody put into a file of ours that is no docker config stays when ours goes',
  limits,
  async t => {
    const { file, place } = await emptyNode(t);
    await reconcileTarget(place, [ours]);
    await writeFile(file, 'notes');
    await utimes(file, new Date(0), new Date(0));
    assert.equal((await reconcileTarget(place, [])).state, 'current');
    assert.equal(await readFile(file, 'utf8'), 'notes');
  },
);
