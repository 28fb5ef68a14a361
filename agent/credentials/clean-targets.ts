import { wait } from '../base/bell.ts';
import { Ownership } from './ownership.ts';
import { reconcileTarget } from './target.ts';
import type { TargetOutcome } from './target-look.ts';

/** What became of one target. */
export type CleanedTarget = {
  readonly path: string;
  readonly ok: boolean;
  /** Why ours is still in it, or what could not be restored; null if it is as it was. */
  readonly problem: string | null;
};

/** What is to be done about a record that could not be understood. */
export const lostRecord =
  "the record of what is ours could not be understood, so entries from before count as somebody else's; look for them in the docker config files, and then delete this file";

/** How often a file that is being changed by others is tried, and the pause between, in milliseconds. */
const rounds = 4;
const pause = 600;

/**
 * Takes our entries out of every target of the record, and puts back what they displaced: the very file that was there
 * before, if nobody else wrote to it since. A second time finds nothing to do. Throws a Failure if the record cannot
 * be read.
 */
export async function cleanTargets(
  hostRoot: string,
  stateDirectory: string,
): Promise<readonly CleanedTarget[]> {
  const ownership = await Ownership.load(stateDirectory);
  const cleaned: CleanedTarget[] = [];
  for (const path of ownership.targets) {
    const place = { path, hostRoot, stateDirectory, ownership };
    let outcome: TargetOutcome = await reconcileTarget(place, []);
    for (let round = 1; outcome.state === 'failed' && round < rounds; round++) {
      await wait(pause, new AbortController().signal);
      outcome = await reconcileTarget(place, []);
    }
    cleaned.push({ path, ok: outcome.state === 'current', problem: outcome.problem });
  }
  if (ownership.unreadable !== null)
    cleaned.push({ path: ownership.unreadable, ok: false, problem: lostRecord });
  return cleaned;
}
