import { realpath } from 'node:fs/promises';
import { Failure } from '../base/failure.ts';
import { isWithin, missingIsUndefined, nearestDirectory } from '../base/real-path.ts';

/**
 * Makes sure that the state directory lies on the node whose root is mounted at `hostRoot`, and that no link leads it
 * elsewhere; it need not be there yet. Throws a Failure that says what to do.
 */
export async function checkStateDirectory(hostRoot: string, stateDirectory: string): Promise<void> {
  const root = await realpath(hostRoot).catch(missingIsUndefined);
  if (root === undefined)
    throw new Failure({
      tried: `looking for the node's root at ${hostRoot}`,
      problem: 'it does not exist',
      advice: 'mount it there or set --host-root',
    });
  if (isWithin(await nearestDirectory(stateDirectory), root)) return;
  throw new Failure({
    tried: `using the state directory ${stateDirectory}`,
    problem: "a symbolic link leads it out of the node's root as mounted here",
    advice: 'mount the real directory or set --state-dir',
  });
}
