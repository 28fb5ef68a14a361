import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../agent/base/failure.ts';
import { cleanTargets } from '../../agent/credentials/clean-targets.ts';
import { Ownership } from '../../agent/credentials/ownership.ts';
import { recoverSources } from '../../agent/credentials/recover.ts';
import type { Source } from '../../agent/credentials/sources.ts';
import { reconcileTarget } from '../../agent/credentials/target.ts';
import type { TargetOutcome } from '../../agent/credentials/target-look.ts';
import { basicEntry } from './entries.ts';
import { type FileTree, readTree } from './file-tree.ts';

/** What an entry is written with, by registry key. */
export type Passwords = Readonly<Record<string, string>>;

/** One sequence of an agent's steps on a directory that stands in for a node: `host/` and `state/` in it. */
export type WriteSteps = {
  readonly directory: string;
  /** The target, as a path on the node. */
  readonly path: string;
  readonly passwords: Passwords;
};

/** What the steps came to. */
type StepsTaken = {
  /** What an agent before this one had written. */
  readonly recovered: readonly Source[];
  readonly outcome: TargetOutcome;
  /** The next look of the same agent. */
  readonly lookAgain: () => Promise<TargetOutcome>;
};

/** Does what an agent does from its start to its first write. */
export async function writeTarget({ directory, path, passwords }: WriteSteps): Promise<StepsTaken> {
  const [hostRoot, stateDirectory] = [join(directory, 'host'), join(directory, 'state')];
  const ownership = await Ownership.load(stateDirectory);
  const recovered = await recoverSources(ownership, hostRoot);
  const entries = Object.entries(passwords).map(([registry, password]) => basicEntry(registry, password));
  const place = { path, hostRoot, stateDirectory, ownership };
  const outcome = await reconcileTarget(place, entries);
  const rewrite = outcome.state === 'failed';
  return { recovered, outcome, lookAgain: () => reconcileTarget({ ...place, rewrite }, entries) };
}

/** Does what `clean` does. Returns what could not be cleaned. */
export async function cleanNode(directory: string): Promise<readonly string[]> {
  const cleaned = await cleanTargets(join(directory, 'host'), join(directory, 'state'));
  return cleaned.flatMap(({ problem }) => problem ?? []);
}

/** What the program below tells of a write: how two looks went, and what was there after the first one. */
export type WriteReport = {
  readonly problem: string | null;
  readonly tree: FileTree;
  readonly later: TargetOutcome;
};

async function reportWrite(steps: WriteSteps): Promise<WriteReport> {
  try {
    const { outcome, lookAgain } = await writeTarget(steps);
    const tree = await readTree(steps.directory);
    return { problem: outcome.problem, tree, later: await lookAgain() };
  } catch (error) {
    const tree = await readTree(steps.directory);
    return { problem: messageOf(error), tree, later: (await writeTarget(steps)).outcome };
  }
}

/**
 * Makes the thread that works on files do more calls of each kind than the main thread does while it starts: strace
 * counts the calls of each thread for itself, and what is to be met is the call number N of this one.
 */
async function goAhead(): Promise<void> {
  for (let round = 0; round < 15; round++) {
    await readFile('/dev/null');
    await readdir('/proc/self/task');
    await readlink('/proc/self/exe');
  }
}

if (import.meta.main) {
  const [, , move = '', given = ''] = process.argv;
  const steps = JSON.parse(given) as WriteSteps;
  await goAhead();
  if (move === 'clean') await cleanNode(steps.directory);
  else if (move === 'write') await writeTarget(steps);
  else process.stdout.write(JSON.stringify(await reportWrite(steps)));
}
