import { rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../base/failure.ts';
import { askAgent } from '../control/control-client.ts';
import { controlSocketPath, lockPath, tryNodeLock } from '../control/node-lock.ts';
import { type CleanedTarget, cleanTargets } from '../credentials/clean-targets.ts';
import type { Settings } from '../settings.ts';

/** How long the running agent may take, in milliseconds. */
const patience = 30_000;

/**
 * Takes everything of ours out of the node again. An agent that runs does it itself, and does nothing more until it is
 * started anew; without one it is done here. Returns the exit status: 1 if anything of ours is left.
 */
export async function clean(settings: Settings): Promise<number> {
  const hostRoot = settings['host-root'];
  const stateDirectory = join(hostRoot, settings['state-dir']);
  const cleaned = await cleanNode(hostRoot, stateDirectory);
  for (const { path, ok, problem } of cleaned) {
    const result = ok ? 'is without entries of pullready' : 'is not clean';
    process.stdout.write(`${path} ${result}${problem ? `: ${problem}` : ''}\n`);
  }
  if (cleaned.length === 0) process.stdout.write('There is nothing of pullready on this node.\n');
  return cleaned.every(({ ok }) => ok) ? 0 : 1;
}

async function cleanNode(hostRoot: string, stateDirectory: string): Promise<readonly CleanedTarget[]> {
  // Without a state directory no agent ever was here, and none is made for asking.
  if (!(await exists(stateDirectory))) return [];
  const lock = await tryNodeLock(stateDirectory);
  if (!lock) return await askRunningAgent(stateDirectory);
  try {
    const cleaned = await cleanTargets(hostRoot, stateDirectory);
    // Also what the agent made for itself, as far as nothing is kept in it. Whoever waits for the lock sees that the
    // file is another one.
    await rm(lockPath(stateDirectory), { force: true });
    await rmdir(stateDirectory).catch(() => undefined);
    return cleaned;
  } finally {
    lock.release();
  }
}

async function askRunningAgent(stateDirectory: string): Promise<readonly CleanedTarget[]> {
  const socket = controlSocketPath(stateDirectory);
  const { status, body } = await askAgent(socket, { method: 'POST', path: '/clean', timeoutMs: patience });
  if (status === 200) return JSON.parse(body);
  throw new Failure({
    tried: 'having the agent of this node clean up',
    problem: `it answered ${status}: ${body.trim()}`,
    advice: 'end it (delete its pod) and run clean again',
  });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
