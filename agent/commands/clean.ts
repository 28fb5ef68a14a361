import { rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../base/failure.ts';
import { type CleanedNode, cleanNode } from '../clean-node.ts';
import { askAgent } from '../control/control-client.ts';
import { controlSocketPath, lockPath, tryNodeLock } from '../control/node-lock.ts';
import type { Settings } from '../settings.ts';

/** How long the running agent may take, in milliseconds. */
const patience = 30_000;

/**
 * Takes everything of ours out of the node again. An agent that runs does it itself, and does nothing more until it is
 * started anew; without one it is done here. Returns the exit status: 1 if anything of ours is left.
 */
export async function clean(settings: Settings): Promise<number> {
  const stateDirectory = join(settings['host-root'], settings['state-dir']);
  // Without a state directory no agent ever was here, and none is made for asking.
  const cleaned = (await exists(stateDirectory)) ? await cleanHere(settings, stateDirectory) : undefined;
  process.stdout.write(describe(cleaned));
  return cleaned === undefined || isClean(cleaned) ? 0 : 1;
}

function isClean({ targets, pins }: CleanedNode): boolean {
  return targets.every(({ ok }) => ok) && !pins.problem;
}

async function cleanHere(settings: Settings, stateDirectory: string): Promise<CleanedNode> {
  const lock = await tryNodeLock(stateDirectory);
  if (!lock) return await askRunningAgent(stateDirectory);
  try {
    const cleaned = await cleanNode(settings);
    // Also what the agent made for itself, as far as nothing is kept in it. Whoever waits for the lock sees that the
    // file is another one.
    // What is not clean yet is looked at again the next time, for which the state directory says that we were here.
    if (!isClean(cleaned)) return cleaned;
    for (const path of [lockPath(stateDirectory), controlSocketPath(stateDirectory)])
      await rm(path, { force: true });
    await rmdir(stateDirectory).catch(() => undefined);
    return cleaned;
  } finally {
    lock.release();
  }
}

async function askRunningAgent(stateDirectory: string): Promise<CleanedNode> {
  const socket = controlSocketPath(stateDirectory);
  const path = `/clean?before=${Date.now() + patience}`;
  const { status, body } = await askAgent(socket, { method: 'POST', path, timeoutMs: patience });
  if (status === 200) return JSON.parse(body);
  throw new Failure({
    tried: 'having the agent of this node clean up',
    problem: `it answered ${status}: ${body.trim()}`,
    advice: 'end it (delete its pod) and run clean again',
  });
}

function describe(cleaned: CleanedNode | undefined): string {
  const { targets, pins } = cleaned ?? { targets: [], pins: { unpinned: 0, problem: null } };
  const lines = targets.map(({ path, ok, problem }) => {
    const result = ok ? 'is without entries of pullready' : 'is not clean';
    return `${path} ${result}${problem ? `: ${problem}` : ''}`;
  });
  if (pins.unpinned > 0) lines.push(`${pins.unpinned} images are no longer pinned`);
  if (pins.problem) lines.push(`images may still be pinned: ${pins.problem}`);
  if (lines.length === 0) lines.push('There is nothing of pullready on this node.');
  return `${lines.join('\n')}\n`;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
