import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { dieWithStarter } from './program.ts';
import { project } from './sandbox-directory.ts';
import type { SandboxNode } from './sandbox-node.ts';

/** Where an agent finds what it works on. */
type NodePlaces = Pick<SandboxNode, 'secretsDir' | 'configFile' | 'hostRoot'>;

/** The agent on a sandbox node, in the foreground of the terminal. */
export type ForegroundAgent = {
  /** Its exit status or the signal that ended it, once it has ended. Rejects if it could not be started. */
  readonly ended: Promise<number | NodeJS.Signals>;
  kill(signal: NodeJS.Signals): void;
};

/**
 * Runs the agent from source with our terminal as its input and output. It is in a session of its own: Ctrl-C reaches
 * it only through `kill`, once, because a second signal makes it leave at once. If we die, it gets a SIGTERM.
 */
export function runAgentInForeground(node: NodePlaces, flags: readonly string[]): ForegroundAgent {
  const command = [process.execPath, join(project, 'agent/main.ts'), 'run', ...agentFlags(node), ...flags];
  const [file, ...args] = [...dieWithStarter('TERM'), ...command];
  const child: ChildProcess = spawn(file, args, {
    detached: true,
    stdio: 'inherit',
    env: { ...process.env, NODE_NAME: 'sandbox' },
  });
  return {
    ended: once(child, 'exit').then(([status, signal]) => status ?? signal),
    kill: signal => void child.kill(signal),
  };
}

function agentFlags(node: NodePlaces): string[] {
  const values = {
    secrets: node.secretsDir,
    config: node.configFile,
    'host-root': node.hostRoot,
    runtime: 'auto',
  };
  return Object.entries(values).flatMap(([flag, value]) => [`--${flag}`, value]);
}
