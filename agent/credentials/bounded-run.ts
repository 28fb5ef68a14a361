import { addAbortListener } from 'node:events';
import { execa } from 'execa';

/** What a program is given to read, and what bounds it. */
export type RunOptions = {
  readonly input: string;
  /** The most that is read of its standard output, in bytes. */
  readonly outputLimit: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};

/** How a run ended. The output may hold a secret. */
export type Run =
  | { readonly end: 'exit'; readonly status: number; readonly output: Uint8Array }
  | { readonly end: 'killed'; readonly signal: string }
  | { readonly end: 'aborted' | 'timeout' | 'too much output' }
  /** SIGKILL did not end it: it hangs in the kernel, or is another user's by now. It was left alone. */
  | { readonly end: 'unkillable' }
  /** The code of the system's error (`ENOENT`), if it has one. */
  | { readonly end: 'not started'; readonly code: string | undefined };

/**
 * Runs a program to its end and never throws. No shell is between, nothing of the agent's is handed down, and nothing
 * is left behind: the program leads a process group of its own, all of which is killed when the program exits, when it
 * prints too much, when the time is up, on an abort, and when the agent exits. Only a process that leaves the group
 * escapes; that is not waited for, though it may hold the output open.
 */
export async function runBounded(file: string, args: readonly string[], options: RunOptions): Promise<Run> {
  const { input, outputLimit, timeoutMs, signal } = options;
  const stop = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  if (signal.aborted) return { end: 'aborted' };
  const program = start(file, args, { input, maxBuffer: outputLimit, cancelSignal: stop });
  killGroupAtEnd(program);
  const result = await orGiveUp(program, stop);
  if (result === 'given up') return { end: 'unkillable' };
  if (result.isCanceled) return { end: signal.aborted ? 'aborted' : 'timeout' };
  if (result.isMaxBuffer) return { end: 'too much output' };
  if (result.signal !== undefined) return { end: 'killed', signal: result.signal };
  if (result.exitCode !== undefined) return { end: 'exit', status: result.exitCode, output: result.stdout };
  return { end: 'not started', code: result.code };
}

type Bounds = { readonly input: string; readonly maxBuffer: number; readonly cancelSignal: AbortSignal };

function start(file: string, args: readonly string[], bounds: Bounds) {
  return execa(file, args, {
    ...bounds,
    cwd: '/',
    // The agent's variables are none of the program's business, and some (LD_PRELOAD, NODE_OPTIONS, a cloud's keys) would
    // change what it does. PATH finds what a script calls; many programs do not start without a HOME.
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/' },
    extendEnv: false,
    stderr: 'ignore',
    encoding: 'buffer',
    killDescendants: true,
    killSignal: 'SIGKILL',
    // Execa's errors quote the output. Here they are results, which do not leave this file.
    reject: false,
    // Else NODE_DEBUG=execa has it write into the agent's log what it runs, and in other encodings what that prints.
    verbose: 'none',
  });
}

type Program = ReturnType<typeof start>;

/** How long the output is read on after the program has exited, in milliseconds, if somebody holds it open. */
const outputGraceMs = 500;

function killGroupAtEnd({ nodeChildProcess, stdout, kill }: Program): void {
  nodeChildProcess.once('exit', () => {
    kill();
    setTimeout(() => stdout.destroy(), outputGraceMs).unref();
  });
}

/** How long a program that was killed may take to be gone, in milliseconds. */
const killGraceMs = 2_000;

async function orGiveUp(program: Program, stop: AbortSignal): Promise<Awaited<Program> | 'given up'> {
  const late = Promise.withResolvers<'given up'>();
  const listener = addAbortListener(stop, () => {
    setTimeout(() => late.resolve('given up'), killGraceMs).unref();
  });
  try {
    return await Promise.race([program, late.promise]);
  } finally {
    listener[Symbol.dispose]();
    // Only of use for what was given up: it must not keep the agent from exiting.
    program.nodeChildProcess.unref();
    program.stdout.destroy();
  }
}
