import { accessSync, closeSync, constants, existsSync, lstatSync, mkdirSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { Bell, wait } from '../base/bell.ts';
import { codeOf, Failure, messageOf } from '../base/failure.ts';
import { fileFailure } from '../base/file-failure.ts';

/** The right to work on this node, held by one process at a time; the kernel frees it when the process ends, however it ends. */
export type NodeLock = {
  /** Frees it; to be called as the last act, and harmless when called again. */
  release(): void;
};

/** How to wait for the lock. */
export type NodeLockOptions = {
  readonly stateDirectory: string;
  readonly signal: AbortSignal;
  /** Called once, when another process holds it. */
  readonly onWaiting: () => void;
  /** Called when it cannot be known whether it is free (a read-only disk); once per message, though it is tried on. */
  readonly onProblem: (failure: Failure) => void;
};

const pollMs = 500;
const problemPollMs = 1000;
const shortestPauseMs = 100;
/** How long one try may block: without it, two that try at the same instant would both find the other in the way. */
const busyMs = 20;

const sqlite = loadSqliteQuietly();
/** SQLITE_BUSY; the lowest byte of SQLite's extended result codes. */
const sqliteBusy = 5;

/** What this process holds. A database that only its NodeLock knew would be closed by the garbage collector. */
const held = new Set<DatabaseSync>();

/** The path of the file that is locked. Only whoever holds the lock may remove it, and nobody may open it. */
export function lockPath(stateDirectory: string): string {
  return join(stateDirectory, 'agent.lock');
}

/** The path of the control socket. */
export function controlSocketPath(stateDirectory: string): string {
  return join(stateDirectory, 'agent.sock');
}

/**
 * Waits until the lock is free and takes it; undefined when the signal aborts first. The end of the holder is noticed
 * by the end of a connection to its control socket; without a connection the lock is tried twice a second.
 */
export async function waitForNodeLock(options: NodeLockOptions): Promise<NodeLock | undefined> {
  const { stateDirectory, signal, onWaiting, onProblem } = options;
  const holder = new HolderConnection(controlSocketPath(stateDirectory));
  const problems = new Set<string>();
  let waiting = false;
  try {
    while (!signal.aborted) {
      const outcome = await tryNodeLock(stateDirectory).catch((failure: Failure) => failure);
      if (outcome instanceof Failure) {
        if (!problems.has(outcome.message)) onProblem(outcome);
        problems.add(outcome.message);
        await wait(problemPollMs, signal);
      } else if (outcome) {
        return outcome;
      } else {
        if (!waiting) onWaiting();
        waiting = true;
        await holder.ended(signal);
      }
    }
    return undefined;
  } finally {
    holder.close();
  }
}

/**
 * Takes the lock if it is free; undefined if another holds it. Throws a Failure if that cannot be known.
 *
 * It is SQLite's lock on the empty file `agent.lock` in the state directory, made of fcntl locks: the kernel frees them
 * at the end of the process, they hold across containers, and no child inherits them. But they are gone as soon as the
 * process closes any descriptor of that file, so nothing else in it may open the file, and all this is synchronous:
 * of two calls, neither may close what it has just created when the other has locked it. Only the holder may remove the
 * file, right before it frees the lock.
 */
export async function tryNodeLock(stateDirectory: string): Promise<NodeLock | undefined> {
  const path = lockPath(stateDirectory);
  const tried = `locking ${path}, so that one agent works on this node at a time`;
  try {
    if (!existsSync(stateDirectory)) mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    createIfMissing(path);
    const database = lockedDatabase(path, checkedIdentity(path, tried), tried);
    if (!database) return undefined;
    held.add(database);
    return { release: () => void (held.delete(database) && database.close()) };
  } catch (error) {
    throw fileFailure(tried, error);
  }
}

/** Not left to SQLite, which would make it readable for everybody. */
function createIfMissing(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/** The file's identity, if it is one that can be locked. */
function checkedIdentity(path: string, tried: string): string {
  const stats = lstatSync(path, { bigint: true });
  // A link could lead to another file in each container.
  if (!stats.isFile())
    throw new Failure({ tried, problem: 'it is not a regular file', advice: 'move it away' });
  // SQLite would not tell why.
  accessSync(path, constants.R_OK | constants.W_OK);
  return identityOf(stats);
}

function identityOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`;
}

/** The open and locked file; undefined if it is another's, or no longer the one that it was. */
function lockedDatabase(path: string, identity: string, tried: string): DatabaseSync | undefined {
  const database = new sqlite.DatabaseSync(path, { timeout: busyMs });
  try {
    // The journal would be a second file. Of a file that cannot be written SQLite would take a shared lock and call it
    // exclusive; the change, which is never committed, fails then.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE; PRAGMA user_version = 1');
    // The lock is worth nothing if somebody has just removed the file, and others lock its successor.
    const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (stats && identityOf(stats) === identity) return database;
  } catch (error) {
    database.close();
    if (isBusy(error)) return undefined;
    throw new Failure({
      tried,
      problem: messageOf(error),
      advice: 'if the file is not empty, delete it; else check its file system, which must know POSIX locks',
      cause: error,
    });
  }
  database.close();
  return undefined;
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && Number(error.errcode) % 256 === sqliteBusy;
}

/** Early releases of Node.js 24 warn on stderr that SQLite is experimental; nothing else can warn while it is loaded. */
function loadSqliteQuietly(): typeof import('node:sqlite') {
  const emitWarning = process.emitWarning;
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** A connection to the holder's control socket that carries nothing: the kernel closes it when the holder is gone. */
class HolderConnection {
  readonly #path: string;
  readonly #ending = new Bell();
  #socket: Socket | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Resolves when the connection ends, or after half a second; never at once, whatever the other end does. */
  async ended(signal: AbortSignal): Promise<void> {
    const pause = wait(shortestPauseMs, signal);
    this.#socket ??= this.#connect();
    await this.#ending.heard(pollMs, signal);
    await pause;
  }

  close(): void {
    this.#socket?.destroy();
  }

  #connect(): Socket {
    const socket = connect({ path: this.#path });
    let connected = false;
    socket.on('connect', () => {
      connected = true;
    });
    // No socket, nobody behind it, or a path that is longer than a socket's may be: the poll is left.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#socket = undefined;
      if (connected) this.#ending.ring();
    });
    return socket.resume();
  }
}
