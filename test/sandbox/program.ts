import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from './wait-until.ts';

/** A program to start: its name for messages, its command line, where it runs and where its output goes. */
export type ProgramOptions = {
  readonly name: string;
  readonly command: readonly [file: string, ...args: string[]];
  readonly directory: string;
  readonly logFile: string;
};

/** A started program. */
export type Program = {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** How it ended (`exit status 1`, `SIGKILL`), once it has; never rejects. */
  readonly ended: Promise<string>;
  isRunning(): boolean;
  /** Sends one signal and does not wait; nothing happens if the program has ended already. */
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL after `graceMs` (5000); returns when the program has really ended. */
  stop(graceMs?: number): Promise<void>;
};

/**
 * Starts a program that ends with the process that started it. It runs in a session of its own, so that a Ctrl-C on the
 * terminal does not reach it; whoever started it decides when it stops. Output is appended to the log file.
 */
export async function startProgram(options: ProgramOptions): Promise<Program> {
  await mkdir(dirname(options.logFile), { recursive: true });
  const log = await open(options.logFile, 'a');
  try {
    const [file, ...args] = [...dieWithStarter('KILL'), ...options.command];
    const child = spawn(file, args, {
      cwd: options.directory,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    await once(child, 'spawn');
    return programOf(child, options);
  } catch (cause) {
    throw new Error(`cannot start ${options.name} (${options.command.join(' ')})`, { cause });
  } finally {
    await log.close();
  }
}

/**
 * What to put before a command so that the kernel sends its program a signal when the process that started it dies,
 * however that dies (PR_SET_PDEATHSIG). So a crashed sandbox leaves nothing running, and there are no process ids to
 * remember and to mistrust. The shell closes the gap between fork and prctl: if the starter died within it, the program
 * is no longer its child and does not go on.
 */
export function dieWithStarter(signal: 'KILL' | 'TERM'): readonly [file: string, ...args: string[]] {
  const goOn = '[ "$PPID" = "$0" ] && exec "$@"';
  return ['setpriv', `--pdeathsig=${signal}`, 'sh', '-c', goOn, String(process.pid)];
}

/** Waits until `isReady` answers true; if the program ends or the time is up before that, the error quotes its log. */
export async function waitUntilReady(program: Program, isReady: () => Promise<boolean>): Promise<void> {
  try {
    await waitUntil(async () => !program.isRunning() || (await isReady()), {
      what: `${program.name} to answer`,
      timeoutMs: 20_000,
    });
    if (!program.isRunning()) throw new Error(`${program.name} ended with ${await program.ended}`);
  } catch (cause) {
    await program.stop();
    const lastLines = (await readFile(program.logFile, 'utf8')).trimEnd().split('\n').slice(-5).join('\n  ');
    throw new Error(`${program.name} did not start; the end of ${program.logFile}:\n  ${lastLines}`, {
      cause,
    });
  }
}

function programOf(child: ChildProcess, { name, logFile }: ProgramOptions): Program {
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} has no process id`);
  const ended = once(child, 'exit').then(([status, signal]) => String(signal ?? `exit status ${status}`));
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  // child.kill signals only a child that has not been waited for, so the process id cannot have been given away.
  const kill = (signal: NodeJS.Signals) => void child.kill(signal);

  async function stop(graceMs = 5000): Promise<void> {
    kill('SIGTERM');
    kill('SIGCONT'); // a program that a test has frozen would never see the SIGTERM
    const abort = new AbortController();
    const grace = delay(graceMs, undefined, { signal: abort.signal }).then(
      () => kill('SIGKILL'),
      () => undefined,
    );
    await ended;
    abort.abort();
    await grace;
  }
  return { name, pid, logFile, ended, isRunning, kill, stop };
}
