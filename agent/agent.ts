import { chmod, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { aborted, wait } from './base/bell.ts';
import { messageOf } from './base/failure.ts';
import type { Logger } from './base/log.ts';
import { type CleanedNode, cleanNode } from './clean-node.ts';
import { controlSocketPath, type NodeLock, waitForNodeLock } from './control/node-lock.ts';
import { checkStateDirectory } from './control/state-directory.ts';
import { NodeWork } from './node-work.ts';
import type { Settings } from './settings.ts';
import type { Board, Duty } from './status/board.ts';
import { Metrics } from './status/metrics.ts';
import { toStatus } from './status/status.ts';
import { type StatusServer, startStatusServer } from './status/status-server.ts';
import { version } from './version.ts';

/** What one agent runs with. */
export type AgentOptions = {
  readonly settings: Settings;
  readonly log: Logger;
  /** The node's name; without it, that of the machine. */
  readonly nodeName: string | undefined;
  /** Called once, at the start, with what tells how the node stands at any later time. */
  readonly onStart?: (board: () => Board) => void;
};

/**
 * Runs the agent of one node until `signal` aborts: waits until no other agent works on the node, and then does that
 * itself. When it resolves, the write that was under way is finished, every pull is cancelled, and nothing of it runs
 * any more. The files on the node stay, unless it was asked to clean up.
 */
export async function runAgent(options: AgentOptions, signal: AbortSignal): Promise<void> {
  const agent = new Agent(options);
  options.onStart?.(() => agent.board);
  await agent.run(signal);
}

class Agent {
  readonly #options: AgentOptions;
  readonly #stateDirectory: string;
  readonly #nodeName: string;
  readonly #metrics = new Metrics(() => toStatus(this.board));
  readonly #work: NodeWork;
  #duty: Duty = { state: 'waiting', reason: 'the agent has just started' };

  constructor(options: AgentOptions) {
    const { settings, log, nodeName = hostname() } = options;
    this.#options = options;
    this.#nodeName = nodeName;
    this.#stateDirectory = join(settings['host-root'], settings['state-dir']);
    const status = () => toStatus(this.board);
    const stateDirectory = this.#stateDirectory;
    this.#work = new NodeWork({ settings, stateDirectory, nodeName, log, metrics: this.#metrics, status });
  }

  get board(): Board {
    return { version, node: this.#nodeName, duty: this.#duty, ...this.#work.board };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { settings, log } = this.#options;
    const server = settings.listen === 'none' ? undefined : await this.#serve(settings.listen);
    if (server) log.info(`status at ${server.url}`);
    try {
      const lock = await this.#takeLock(signal);
      if (!lock) return;
      try {
        await this.#workAndServe(signal);
      } finally {
        lock.release();
      }
    } finally {
      await server?.close();
    }
  }

  /** Waits until this is the agent that works on the node; undefined if `signal` aborts before. */
  async #takeLock(signal: AbortSignal): Promise<NodeLock | undefined> {
    const stateDirectory = this.#stateDirectory;
    const onWaiting = () =>
      this.#wait('another agent works on this node; this one takes over when that has ended');
    const onProblem = (problem: Error) => this.#wait(problem.message);
    while (!signal.aborted) {
      try {
        await checkStateDirectory(this.#options.settings['host-root'], stateDirectory);
        return await waitForNodeLock({ stateDirectory, signal, onWaiting, onProblem });
      } catch (error) {
        this.#wait(messageOf(error));
        await wait(1_000, signal);
      }
    }
    return undefined;
  }

  #wait(reason: string): void {
    if (this.#duty.state === 'waiting' && this.#duty.reason === reason) return;
    this.#duty = { state: 'waiting', reason };
    this.#options.log.warn(reason);
  }

  /** Works until `signal` aborts, or until somebody asks over the control socket to clean up; then only waits for that. */
  async #workAndServe(signal: AbortSignal): Promise<void> {
    const cleaning = new AbortController();
    const working = this.#work.run(AbortSignal.any([signal, cleaning.signal]));
    this.#duty = { state: 'working' };
    let cleaned: Promise<CleanedNode> | undefined;
    const clean = () => {
      cleaning.abort();
      // One after the other: both would write the same files.
      const before = cleaned ?? working;
      cleaned = Promise.allSettled([before]).then(() => this.#clean());
      return cleaned;
    };
    const control = await this.#serveControl(clean);
    try {
      await working;
      if (cleaning.signal.aborted) await aborted(signal);
    } finally {
      await control?.close();
      // Whoever asked was told if it failed.
      await cleaned?.catch(() => undefined);
    }
  }

  async #clean(): Promise<CleanedNode> {
    const { settings, log } = this.#options;
    this.#duty = { state: 'cleaned' };
    const cleaned = await cleanNode(settings);
    for (const { path: target, ok, problem } of cleaned.targets) {
      if (ok && problem === null) log.info({ target }, 'cleaned');
      else log.warn({ target }, `${ok ? 'cleaned' : 'not clean'}: ${problem}`);
    }
    if (cleaned.pins.problem) log.warn(`images may still be pinned: ${cleaned.pins.problem}`);
    return cleaned;
  }

  #serve(listen: string, clean?: () => Promise<unknown>): Promise<StatusServer> {
    const status = () => toStatus(this.board);
    return startStatusServer({ listen, status, metrics: this.#metrics, ...(clean && { clean }) });
  }

  /** The agent works without its control socket, too. What a killed one left of it is removed: the lock is ours. */
  async #serveControl(clean: () => Promise<unknown>): Promise<StatusServer | undefined> {
    const socket = controlSocketPath(this.#stateDirectory);
    try {
      await rm(socket, { force: true });
      const server = await this.#serve(socket, clean);
      await chmod(socket, 0o600);
      return server;
    } catch (error) {
      this.#options.log.warn(`there is no control socket: ${messageOf(error)}`);
      return undefined;
    }
  }
}
