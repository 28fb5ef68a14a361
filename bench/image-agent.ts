import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Program, startProgram } from '../test/sandbox/program.ts';
import { waitUntil } from '../test/sandbox/wait-until.ts';

const agent = fileURLToPath(new URL('../agent/main.ts', import.meta.url));

/** Where an agent that warms images works, and where its log goes. */
export type ImageAgentOptions = {
  readonly hostRoot: string;
  readonly secretsDir: string;
  readonly configFile: string;
  readonly logFile: string;
  /** Node.js's flags and the agent's file; from source, without flags, if not given. */
  readonly program?: readonly string[];
  /** Where it tells its status; nowhere if not given. */
  readonly listen?: string;
};

/** Starts the agent with the runtime of this node. Returns when it runs, which is before it has looked. */
export function startImageAgent(options: ImageAgentOptions): Promise<Program> {
  const { hostRoot, secretsDir, configFile, logFile, program = [agent], listen = 'none' } = options;
  const flags = ['--secrets', secretsDir, '--config', configFile, '--host-root', hostRoot];
  const command = [...program, 'run', ...flags, '--listen', listen];
  return startProgram({
    name: 'agent',
    command: [process.execPath, ...command],
    directory: dirname(configFile),
    logFile,
  });
}

/** Returns when the agent has told that all of so many images are there; looks every few milliseconds. */
export async function untilWarm(agent: Program, images: number, timeoutMs: number): Promise<void> {
  const told = `ready: ${images} of ${images} images`;
  const readLog = () => readFile(agent.logFile, 'utf8');
  try {
    await waitUntil(async () => !agent.isRunning() || (await readLog()).includes(told), {
      what: `the agent to tell that ${images} images are there`,
      timeoutMs,
      intervalMs: 5,
    });
    if (!agent.isRunning()) throw new Error(`the agent ended with ${await agent.ended}`);
  } catch (cause) {
    const end = (await readLog()).trimEnd().split('\n').slice(-5).join('\n  ');
    throw new Error(`the agent did not warm ${images} images; the end of its log:\n  ${end}`, { cause });
  }
}
