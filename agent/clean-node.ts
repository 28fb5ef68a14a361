import { join } from 'node:path';
import { type CleanedTarget, cleanTargets } from './credentials/clean-targets.ts';
import { type CleanedPins, cleanPins } from './images/clean-pins.ts';
import type { Settings } from './settings.ts';

/** What became of what is ours on the node. */
export type CleanedNode = { readonly targets: readonly CleanedTarget[]; readonly pins: CleanedPins };

/** How long the runtime may take, in milliseconds. */
const patience = 15_000;

/** Takes our entries out of every file, puts back what they displaced, and unpins what we pinned. */
export async function cleanNode(
  settings: Pick<Settings, 'host-root' | 'state-dir' | 'runtime'>,
): Promise<CleanedNode> {
  const hostRoot = settings['host-root'];
  const targets = await cleanTargets(hostRoot, join(hostRoot, settings['state-dir']));
  const pins = await cleanPins(settings.runtime, hostRoot, AbortSignal.timeout(patience));
  return { targets, pins };
}
