import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { revealed } from './entries.ts';
import {
  type Faulted,
  faultAtEveryCall,
  type Move,
  makeWhole,
  type WholeMove,
} from './fault-at-every-call.ts';
import { readTree, writeTree } from './file-tree.ts';
import { hostOf, type NodeKind, namesIn, nodeKinds } from './node-kinds.ts';
import { buildSteps } from './traced-steps.ts';
import { cleanNode, type Passwords, writeTarget } from './write-steps.ts';

const one = { 'a.io': 'one', 'b.io': 'one' };

const moves: Readonly<Record<string, Pick<Move, 'before' | 'after'>>> = {
  'the first write': { before: null, after: one },
  'a rotation': { before: one, after: { 'a.io': 'two', 'b.io': 'one' } },
  'a revocation': { before: one, after: {} },
  'a clean': { before: one, after: null },
};

test('a kill at any system call leaves the file whole, and ours told from theirs', {
  timeout: 300_000,
}, async t => {
  const directory = await temporaryDirectory(t);
  const program = await buildSteps(directory);
  const points: string[] = [];
  for (const node of nodeKinds) {
    for (const [name, passwords] of Object.entries(moves)) {
      await t.test(`${name}: ${node.name}`, async () => {
        points.push(...(await killAtEveryCall({ directory, program, node, ...passwords })));
      });
    }
  }
  t.diagnostic(`${points.length} kills, at ${new Set(points).size} different calls`);
  assert.ok(points.length >= 500, `${points.length} kills`);
  const names = new Set(points.map(point => point.split(' ', 1)[0]));
  for (const name of ['openat', 'write', 'fchmod', 'fchown', 'fsync', 'close', 'rename', 'symlink', 'unlink'])
    assert.ok(names.has(name), `no kill at ${name}`);
  for (const name of ['mkdir', 'rmdir', 'statx', 'readlink'])
    assert.ok(names.has(name), `no kill at ${name}`);
});

async function killAtEveryCall(move: Move): Promise<readonly string[]> {
  const whole = await makeWhole(move);
  assert.notDeepEqual(hostOf(whole.after), hostOf(whole.before));
  if (isOurs(move.after)) assert.equal(whole.after[`host${move.node.path}`]?.mode, 0o600);
  else assert.deepEqual(hostOf(whole.after), move.node.original);
  return faultAtEveryCall(move, whole, 'signal=KILL', killed => checkKilled(move, whole, killed));
}

async function checkKilled(move: Move, whole: WholeMove, { directory, run }: Faulted): Promise<void> {
  const { node } = move;
  assert.equal(run.status, 'SIGKILL', run.output);

  // 1. The file is the old one or the new one, in every respect.
  const found = await readTree(directory);
  const [old, fresh, now] = [whole.before, whole.after, found].map(tree => tree[`host${node.path}`]);
  const isNew = isDeepStrictEqual(now, fresh);
  if (!isNew) assert.deepEqual(now, old);

  // 2. Whoever cleans now, without another agent in between, finds the node's own again.
  await cleanAndCheck(directory, node);

  // 3. The next agent knows what is in force, and comes to the same as one that was not killed.
  await writeTree(directory, found);
  const passwords = move.after ?? move.before ?? {};
  const { recovered, outcome } = await writeTarget({ directory, path: node.path, passwords });
  const inForce = (isNew ? move.after : move.before) ?? {};
  assert.deepEqual(
    recovered.flatMap(({ entries }) => entries.map(revealed)),
    inWords(inForce),
  );
  assert.deepEqual([outcome.state, outcome.problem], ['current', null]);
  // A file that is not there yet cannot be told from one that somebody removed.
  if (now) assert.equal(outcome.drifted, false);
  const { foreign, displaced, setAside } = outcome;
  if (isOurs(passwords)) assert.deepEqual({ foreign, displaced, setAside }, node.theirs);
  const [wanted, restarted] = [move.after ? whole.after : whole.before, await readTree(directory)];
  assert.deepEqual(
    hostOf(restarted),
    hostOf(wanted),
    'nothing else is on the node, and nothing is left over',
  );
  assert.deepEqual(namesIn(restarted), namesIn(wanted));

  // 4. And what was before the first of them is found after the last one.
  await cleanAndCheck(directory, node);
}

async function cleanAndCheck(directory: string, node: NodeKind): Promise<void> {
  assert.deepEqual(await cleanNode(directory), []);
  const tree = await readTree(directory);
  assert.deepEqual(hostOf(tree), node.original, 'cleaned');
  assert.deepEqual(
    namesIn(tree).filter(name => !/^host|^state$|^state\/replaced(\/[^.][^/]*-\*)?$/.test(name)),
    [],
    'nothing but replaced files is left in the state directory',
  );
}

function isOurs(passwords: Passwords | null): boolean {
  return passwords !== null && Object.keys(passwords).length > 0;
}

function inWords(passwords: Passwords): readonly string[] {
  return Object.entries(passwords).map(([registry, password]) => `${registry} user:${password}`);
}
