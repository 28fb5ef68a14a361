import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Ownership } from '../../agent/credentials/ownership.ts';
import { recoverSources } from '../../agent/credentials/recover.ts';
import { reconcileTarget } from '../../agent/credentials/target.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { basicEntry, revealed } from './entries.ts';

const limits = { timeout: 10_000 };
const targets = ['/var/lib/kubelet/config.json', '/root/.docker/config.json'];

/** A node on which an agent wrote `a.io` of team-a and `b.io` of team-b to both targets, and was ended. */
async function writtenNode(t: TestContext) {
  const hostRoot = await temporaryDirectory(t);
  const stateDirectory = join(hostRoot, 'state');
  const ownership = await Ownership.load(stateDirectory);
  const entries = [basicEntry('a.io', 'a', 'team-a'), basicEntry('b.io', 'b', 'team-b')];
  for (const path of targets) {
    const { state } = await reconcileTarget({ path, hostRoot, stateDirectory, ownership }, entries);
    assert.equal(state, 'current');
  }
  const recover = async () => {
    const sources = await recoverSources(await Ownership.load(stateDirectory), hostRoot);
    return sources.map(({ name, state, entries: known }) => [name, state, known.map(revealed).join()]);
  };
  return { hostRoot, stateDirectory, recover };
}

test('what the sources said is known again from any one of the targets', limits, async t => {
  const { hostRoot, recover } = await writtenNode(t);
  const all = [
    ['team-a', 'kept', 'a.io user:a'],
    ['team-b', 'kept', 'b.io user:b'],
  ];
  assert.deepEqual(await recover(), all);
  await writeFile(join(hostRoot, targets[0] ?? ''), 'garbage');
  assert.deepEqual(await recover(), all);
  await rm(join(hostRoot, targets[1] ?? ''));
  await mkdir(join(hostRoot, targets[1] ?? ''));
  assert.deepEqual(await recover(), []);
});

test('an entry that somebody changed, or that was never ours, is not taken for ours', limits, async t => {
  const { hostRoot, recover } = await writtenNode(t);
  const auths = { 'a.io': { auth: 'eDp5' }, 'b.io': { auth: 'dXNlcjpi' }, 'c.io': { auth: 'eDp5' } };
  for (const path of targets) await writeFile(join(hostRoot, path), JSON.stringify({ auths }));
  assert.deepEqual(await recover(), [['team-b', 'kept', 'b.io user:b']]);
});

test('without a record nothing is recovered', limits, async t => {
  const { stateDirectory, recover } = await writtenNode(t);
  await rm(stateDirectory, { recursive: true });
  assert.deepEqual(await recover(), []);
});
