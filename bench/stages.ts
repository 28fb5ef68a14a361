import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Entry } from '../agent/credentials/entry.ts';
import { mergeDockerConfig } from '../agent/credentials/merge.ts';
import { Ownership } from '../agent/credentials/ownership.ts';
import { nothingOwned } from '../agent/credentials/ownership-record.ts';
import { planEntries } from '../agent/credentials/planned-entry.ts';
import { readDocument } from '../agent/credentials/source-document.ts';
import { reconcileTarget } from '../agent/credentials/target.ts';
import { parseDockerConfigText } from '../agent/docker-config/docker-config-text.ts';
import { isVoidingForKubelet } from '../agent/docker-config/kubelet-reading.ts';
import { judgeGrowth, sizes } from './growth.ts';
import { median } from './percentile.ts';
import { makeDocument } from './secret.ts';

const path = '/var/lib/kubelet/config.json';

/** How often every size is measured, all sizes in turns. */
const rounds = 15;

/** One stage of a rotation, for a document of some size; each call does the work of one rotation. */
type Stage = () => unknown;

const stages = ['parse', 'merge', 'write'] as const;

type Stages = Readonly<Record<(typeof stages)[number], Stage>>;

/** Times the stages of a rotation for documents of 10 to 5,000 entries, in this process. */
export async function benchStages(directory: string, signal: AbortSignal): Promise<readonly string[]> {
  const bySize = await Promise.all(sizes.map(size => prepare(join(directory, `stages-${size}`), size)));
  const costs = [];
  for (const name of stages) {
    const times = await timeSizes(
      bySize.map(prepared => prepared[name]),
      signal,
    );
    costs.push({ name, milliseconds: times.map(median) });
  }
  return judgeGrowth('The stages of a rotation', costs);
}

async function timeSizes(
  work: readonly Stage[],
  signal: AbortSignal,
): Promise<readonly (readonly number[])[]> {
  const times: number[][] = work.map(() => []);
  // The first round is for the compiler.
  for (let round = 0; round <= rounds; round++)
    for (const [index, stage] of work.entries()) {
      signal.throwIfAborted();
      // As many entries for every size, so that a disturbance hits all of them alike.
      const calls = Math.max(...sizes) / (sizes[index] ?? 1);
      const time = await timeCalls(stage, round === 0 ? 1 : Math.min(calls, 50));
      if (round > 0) times[index]?.push(time);
    }
  return times;
}

async function timeCalls(stage: Stage, calls: number): Promise<number> {
  const start = performance.now();
  for (let call = 0; call < calls; call++) await stage();
  return (performance.now() - start) / calls;
}

async function prepare(directory: string, size: number): Promise<Stages> {
  const text = makeDocument(size).text;
  const versions = [read(text), read(makeDocument(size).text)] as const;
  const [hostRoot, stateDirectory] = [join(directory, 'host'), join(directory, 'state')];
  await mkdir(hostRoot, { recursive: true });
  const ownership = await Ownership.load(stateDirectory);
  let turn = 0;
  const place = { path, hostRoot, stateDirectory, ownership };
  return {
    parse: () => read(text),
    merge: prepareMerge(versions, ownership),
    // With the look at what is there, the merge, the record and every sync.
    write: async () => {
      const { state, written, problem } = await reconcileTarget(place, versions[turn++ % 2] ?? []);
      assert.ok(state === 'current' && written, `the target is ${state}: ${problem}`);
    },
  };
}

function read(text: string): readonly Entry[] {
  const reading = readDocument(text, 'dockerconfigjson', 'team-a');
  assert.ok(reading.ok && reading.problems.length === 0);
  return reading.entries;
}

/** Merges new credentials into a file that holds the old ones, all of them ours. */
function prepareMerge(
  [old, rotated]: readonly [readonly Entry[], readonly Entry[]],
  ownership: Ownership,
): Stage {
  const how = { form: 'dockerconfigjson', digest: (value: string) => ownership.digest(value) } as const;
  const before = mergeDockerConfig({
    isVoiding: isVoidingForKubelet,
    ...how,
    existing: undefined,
    entries: planEntries(old, path),
    owned: nothingOwned,
  });
  const { text = '' } = before;
  const existing = { text, config: parseDockerConfigText(text) };
  const entries = planEntries(rotated, path);
  return () => {
    const { text: merged } = mergeDockerConfig({
      isVoiding: isVoidingForKubelet,
      ...how,
      existing,
      entries,
      owned: before,
    });
    assert.notEqual(merged, text);
  };
}
