import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Program, startProgram, waitUntilReady } from './program.ts';

/** A program that serves a socket, and what it sees of the directory that stands in for a node's `/`. */
export type NodeProgramOptions = {
  readonly name: string;
  /** A directory of at most 70 bytes, because the path of a Unix socket is limited to 107. */
  readonly nodeRoot: string;
  readonly logFile: string;
  /** Where it listens, below `nodeRoot`: `run/docker.sock`. */
  readonly socketPath: string;
  /** The directories of `nodeRoot` that it has as its own: `var` as `/var`. */
  readonly ownDirectories: readonly string[];
  /** Its command line, for a shell. */
  readonly command: string;
  /** Writes its configuration; before each start. */
  readonly layOut: () => Promise<void>;
  /** Whether it answers on the socket. */
  readonly answers: (socket: string) => Promise<boolean>;
};

/** A program of the node that can be started, stopped and killed again and again. */
export type NodeProgram = {
  /** Where clients connect. */
  readonly socket: string;
  readonly logFile: string;
  /** Starts it, also again after it was stopped or killed; returns when it answers. */
  start(): Promise<void>;
  /** Stops it and returns when it has ended; nothing happens if it does not run. */
  stop(): Promise<void>;
  /** Sends a signal; with SIGKILL it returns when the program has ended. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** The process id, undefined while it does not run. */
  pid(): number | undefined;
};

/**
 * Describes a program on a node's root; `start` starts it. Inside a mount namespace of its own it has directories of
 * that root as `/run`, `/var` and others. So its default paths are the ones of a real node, also in its answers, it
 * cannot touch the system's directories, and every mount it makes goes when it goes, even if it is killed.
 */
export function createNodeProgram(options: NodeProgramOptions): NodeProgram {
  const { name, nodeRoot, logFile, ownDirectories } = options;
  const socket = join(nodeRoot, options.socketPath);
  if (Buffer.byteLength(socket) > 107)
    throw new Error(
      `${socket} is too long for a Unix socket (107 bytes): use a directory with a shorter path`,
    );
  let program: Program | undefined;

  async function start(): Promise<void> {
    if (program?.isRunning()) return;
    if (process.getuid?.() !== 0)
      throw new Error(`${name} needs root, because it mounts the layers it unpacks: run this as root`);
    for (const directory of ownDirectories) await mkdir(join(nodeRoot, directory), { recursive: true });
    await options.layOut();
    program = await startProgram({
      name,
      command: ['unshare', '--mount', 'sh', '-c', startScript(options)],
      directory: nodeRoot,
      logFile,
    });
    await waitUntilReady(program, () => options.answers(socket));
  }

  async function kill(signal: NodeJS.Signals): Promise<void> {
    program?.kill(signal);
    if (signal === 'SIGKILL') await program?.ended;
  }

  return {
    socket,
    logFile,
    start,
    stop: async () => program?.stop(),
    kill,
    pid: () => (program?.isRunning() ? program.pid : undefined),
  };
}

// Relative paths and -c, because the root itself may lie below /var or /run, out of sight after the first mount.
function startScript({ ownDirectories, command }: NodeProgramOptions): string {
  const binds = ownDirectories.map(path => `mount --no-mtab -c --bind ${path} /${path}`);
  return [...binds, `exec ${command}`].join(' && ');
}
