import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Ownership } from '../../agent/credentials/ownership.ts';
import { reconcileTarget } from '../../agent/credentials/target.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { basicEntry } from './entries.ts';
import { readTree, writeTree } from './file-tree.ts';
import { hostOf, type NodeKind, nodeKinds } from './node-kinds.ts';
import { buildSteps, type Call, traceSteps, withoutChance } from './traced-steps.ts';
import { cleanNode, type Passwords, type WriteReport, writeTarget } from './write-steps.ts';

const inputOutputError = /input\/output error; check the disk \(dmesg\)|EIO: i\/o error/;

const one = { 'a.io': 'one', 'b.io': 'one' };
const two = { 'a.io': 'two', 'b.io': 'one' };

test('an input/output error at any call is told in words, and the next look makes good for it', {
  timeout: 300_000,
}, async t => {
  const directory = await temporaryDirectory(t);
  const program = await buildSteps(directory);
  const failed = new Set<string>();
  for (const node of nodeKinds) {
    for (const [before, after] of [[null, one], [one, two], [one, {}]] as const) {
      for (const call of await failAtEveryCall({ directory, program, node, before, after })) failed.add(call);
    }
  }
  t.diagnostic([...failed].sort().join('\n'));
});

type Scenario = {
  readonly directory: string;
  readonly program: string;
  readonly node: NodeKind;
  readonly before: Passwords | null;
  readonly after: Passwords;
};

async function failAtEveryCall(scenario: Scenario): Promise<readonly string[]> {
  const { node, before, after } = scenario;
  const directory = await mkdtemp(join(scenario.directory, 'node-'));
  const path = node.path;
  await writeTree(directory, node.original);
  if (before) await writeTarget({ directory, path, passwords: before });
  const old = await readTree(directory);
  const steps = { directory, path, passwords: after };
  const whole = await traceSteps({ program: scenario.program, move: 'write', steps });
  const fresh = await readTree(directory);
  const failed: string[] = [];
  for (const call of whole.calls) {
    await writeTree(directory, old);
    const run = await traceSteps({ program: scenario.program, move: 'report', steps, fault: { call, what: 'error=EIO' } });
    const point = `${call.name} ${call.about}`;
    try {
      const report = JSON.parse(run.output) as WriteReport;
      console.log(point, '=>', report.problem, report.later.state, Object.keys(report.tree).filter(n=>/pullready-/.test(n)).join());
    } catch { console.log(point, '=> NO JSON', run.status, run.output.slice(0, 300)); }
  }
  return failed;
}
