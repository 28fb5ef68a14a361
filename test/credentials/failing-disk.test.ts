import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import {
  type Faulted,
  faultAtEveryCall,
  type Move,
  makeWhole,
  type WholeMove,
} from './fault-at-every-call.ts';
import { readTree, writeTree } from './file-tree.ts';
import { hostOf, namesIn, nodeKinds } from './node-kinds.ts';
import { buildSteps } from './traced-steps.ts';
import { cleanNode, type WriteReport, writeTarget } from './write-steps.ts';

const limits = { timeout: 60_000 };
const one = { 'a.io': 'one', 'b.io': 'one' };
const two = { 'a.io': 'two', 'b.io': 'one' };

test('an input/output error at any call is told, the file stays whole, and the next look makes it good', {
  timeout: 300_000,
}, async t => {
  const directory = await temporaryDirectory(t);
  const program = await buildSteps(directory);
  const points: string[] = [];
  for (const node of nodeKinds.slice(0, 3)) {
    for (const [before, after] of [
      [null, one],
      [one, two],
      [one, {}],
    ] as const) {
      const move = { directory, program, node, before, after };
      const whole = await makeWhole(move);
      const check = (faulted: Faulted) => checkMadeGood(move, whole, faulted);
      points.push(...(await faultAtEveryCall(move, whole, 'error=EIO', check)));
    }
  }
  t.diagnostic(`${points.length} errors, at ${new Set(points).size} different calls`);
  for (const place of [
    '/host/var/lib/kubelet/.config.json.pullready-*',
    '/state/.ownership.json.pullready-*',
  ])
    for (const name of ['write', 'fsync', 'rename'])
      assert.ok(
        points.some(point => point.startsWith(`${name} ${place}`)),
        `no error at ${name} ${place}`,
      );
  for (const point of ['fsync /host/var/lib/kubelet', 'fsync /state'])
    assert.ok(points.includes(point), point);
});

async function checkMadeGood(move: Move, whole: WholeMove, { directory, call, run }: Faulted): Promise<void> {
  const { node, after } = move;
  assert.equal(run.status, 0, run.output);
  const { problem, tree, later } = JSON.parse(run.output) as WriteReport;
  // Node's recursive mkdir tells what it found afterwards: that the directory is not there.
  const words =
    call.name === 'mkdir' ? 'it does not exist' : 'the disk reports an input/output error; check the disk';
  const isTold = /^(writing|updating|reading) /.test(problem ?? '') && problem?.includes(`: ${words}`);
  assert.ok(isTold || (problem === null && !mustBeTold(call)), `${problem}`);
  const [old, fresh, now] = [whole.before, whole.after, tree].map(({ [`host${node.path}`]: file }) => file);
  if (!isDeepStrictEqual(now, fresh)) assert.deepEqual(now, old, 'torn');
  assert.deepEqual(
    namesIn(tree).filter(name => name.includes('.pullready-')),
    [],
    'left over',
  );
  assert.deepEqual([later.state, later.problem], ['current', null]);
  assert.deepEqual(hostOf(await readTree(directory)), hostOf(whole.after));
  // A copy that could not be removed goes when the agent starts the next time.
  await writeTarget({ directory, path: node.path, passwords: after ?? {} });
  assert.deepEqual(namesIn(await readTree(directory)), namesIn(whole.after));
}

/** An error at what changes the node has to be told; one at a look, or at what only tidies up, may be overcome. */
function mustBeTold({ name, about }: { readonly name: string; readonly about: string }): boolean {
  if (about.startsWith('/state/originals') && !about.includes('.pullready-')) return false;
  return ['write', 'fsync', 'fchmod', 'fchown', 'rename', 'symlink', 'unlink', 'rmdir'].includes(name);
}

const path = '/var/lib/kubelet/config.json';

/** A node on which an agent wrote `one`, with a small disk of its own at `place` (`host/var/lib/kubelet`, `state`). */
async function nodeWithDisk(t: TestContext, place: string, options: string) {
  const directory = await temporaryDirectory(t);
  const disk = join(directory, place);
  for (const name of ['host', place]) await mkdir(join(directory, name), { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]);
  cleanUp(t, () => execFileSync('umount', [disk]));
  const steps = { directory, path, passwords: one };
  assert.equal((await writeTarget(steps)).outcome.state, 'current');
  const content = async () => (await readTree(directory))[`host${path}`]?.content;
  return { directory, disk, steps, content };
}

function remount(disk: string, options: string): void {
  execFileSync('mount', ['-o', `remount,${options}`, disk]);
}

/** Writes a file until there is no room, and returns how to make room again. */
async function fill(disk: string): Promise<() => Promise<void>> {
  const filler = join(disk, 'filler');
  await assert.rejects(writeFile(filler, Buffer.alloc(2 ** 20)), { code: 'ENOSPC' });
  return () => rm(filler);
}

/** Makes files until there is no inode for another, and returns how to make room again. */
async function useInodes(disk: string): Promise<() => Promise<void>> {
  const names = Array.from({ length: 20 }, (_, number) => join(disk, `inode-${number}`));
  await assert.rejects(Promise.all(names.map(name => writeFile(name, ''))), { code: 'ENOSPC' });
  return async () => void (await Promise.all(names.map(name => rm(name, { force: true }))));
}

const faults = {
  full: fill,
  'without inodes': useInodes,
  'read-only': async (disk: string) => {
    remount(disk, 'ro');
    return async () => remount(disk, 'rw');
  },
};

for (const [place, tried] of [
  ['host/var/lib/kubelet', `writing ${path}`],
  ['state', 'writing the ownership record .*/ownership.json'],
] as const) {
  for (const [name, breakDisk] of Object.entries(faults)) {
    test(
      `${place} ${name}: the old file stays, why is told, and it is written once that is over`,
      limits,
      async t => {
        const { disk, directory, steps, content } = await nodeWithDisk(t, place, 'size=64k,nr_inodes=12');
        const before = await content();
        const mend = await breakDisk(disk);
        const { outcome, lookAgain } = await writeTarget({ ...steps, passwords: two });
        assert.equal(outcome.state, 'failed');
        const words =
          name === 'read-only' ? 'the file system is read-only' : 'no space or no inodes are left';
        assert.match(outcome.problem ?? '', new RegExp(`^${tried}: ${words}`));
        assert.equal(await content(), before);
        assert.deepEqual(
          (await readdir(disk)).filter(file => file.includes('pullready-')),
          [],
        );
        await mend();
        const later = await lookAgain();
        assert.deepEqual([later.state, later.problem, await content()], ['current', null, later.text]);
        assert.notEqual(later.text, before);
        assert.deepEqual(await cleanNode(directory), []);
        assert.equal(await content(), undefined);
      },
    );
  }
}

test('a file for which there is room in part only is not written in part', limits, async t => {
  const { disk, steps, content } = await nodeWithDisk(t, 'host/var/lib/kubelet', 'size=64k');
  const before = await content();
  const many = Array.from({ length: 2_000 }, (_, number) => [`r${number}.io`, 'password'] as const);
  const { outcome, lookAgain } = await writeTarget({ ...steps, passwords: Object.fromEntries(many) });
  assert.match(outcome.problem ?? '', /^writing .*: no space or no inodes are left/);
  assert.equal(await content(), before);
  assert.deepEqual(await readdir(disk), ['config.json']);
  remount(disk, 'size=1m');
  assert.deepEqual([(await lookAgain()).managed, (await lookAgain()).state], [2_000, 'current']);
});

test('a full disk keeps no revoked credential in a file that we made', limits, async t => {
  const { disk, steps, content } = await nodeWithDisk(t, 'host/var/lib/kubelet', 'size=64k');
  await fill(disk);
  assert.equal((await writeTarget({ ...steps, passwords: {} })).outcome.state, 'current');
  assert.equal(await content(), undefined);
});

test('a copy that is lost keeps no revoked credential in the file', limits, async t => {
  const directory = await temporaryDirectory(t);
  const [, node] = nodeKinds;
  assert.ok(node);
  await writeTree(directory, node.original);
  const steps = { directory, path: node.path, passwords: one };
  await writeTarget(steps);
  await rm(join(directory, 'state/originals'), { recursive: true });
  const { outcome } = await writeTarget({ ...steps, passwords: {} });
  assert.deepEqual([outcome.state, outcome.foreign], ['current', 3]);
  assert.match(outcome.problem ?? '', /the copy of the file that was there before is gone/);
  const { auths } = JSON.parse((await readTree(directory))[`host${node.path}`]?.content ?? '');
  assert.deepEqual(auths, { 'a.io': { auth: 'eDp5' }, 'c.io': {}, 'd.io': 3 });
});
