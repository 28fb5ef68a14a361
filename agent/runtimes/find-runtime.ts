import { join } from 'node:path';
import { Failure } from '../base/failure.ts';
import { chooseRuntime, type FormerRuntime } from './choose-runtime.ts';
import { connectRuntime } from './connect-runtime.ts';
import { knownSockets, lookAtSockets, type SocketLook } from './known-sockets.ts';
import type { Runtime } from './runtime.ts';

/** Finds the node's runtime; see `RuntimeFinder`. */
export async function findRuntime(uri: string, hostRoot: string, signal: AbortSignal): Promise<Runtime> {
  return new RuntimeFinder(uri, hostRoot).find(signal);
}

/** Finds the node's runtime, and after it was lost that one again, or the one that took its place. */
export class RuntimeFinder {
  readonly #uri: string;
  readonly #hostRoot: string;
  #reason: string | null = null;
  #former: Former | undefined;

  /** `uri` is `auto`, or the socket as `unix:///path/on/the/node`; `hostRoot` is the node's root as mounted here. */
  constructor(uri: string, hostRoot: string) {
    this.#uri = uri;
    this.#hostRoot = hostRoot;
  }

  /** As a clause, why the runtime that was last found was taken, and what was passed over. */
  get reason(): string | null {
    return this.#reason;
  }

  /**
   * Connects to the runtime that the URI names, or for `auto` to the one of the known places that serves the kubelet.
   * Throws a Failure that says of every socket what is wrong with it.
   */
  async find(signal: AbortSignal): Promise<Runtime> {
    if (this.#uri === 'auto') return this.#findKnown(signal);
    const runtime = await connectRuntime(socketOnNode(this.#uri, this.#hostRoot), this.#uri, signal);
    this.#reason = '--runtime names it';
    return runtime;
  }

  async #findKnown(signal: AbortSignal): Promise<Runtime> {
    const looks: SocketLook[] = [];
    for (const paths of knownSockets) {
      looks.push(...(await lookAtSockets(paths, this.#hostRoot, signal)));
      if (looks.some(({ hasPods }) => hasPods)) break;
    }
    const choice = chooseRuntime(looks, this.#former?.look(looks));
    const others = looks.filter(({ path }) => path !== choice?.path);
    for (const { runtime } of others) runtime?.close();
    if (!choice) throw nothingFound(looks, this.#former?.path);
    this.#former = new Former(choice.path, choice.runtime);
    this.#reason = choice.reason + (others.length > 0 ? `; passed over: ${listed(others)}` : '');
    return choice.runtime;
  }
}

/** What is known of the runtime that is used, for when it is lost. */
class Former {
  readonly path: string;
  #lostAt = Number.POSITIVE_INFINITY;
  /** By the clock that nobody sets. */
  #goneSince: number | undefined;

  constructor(path: string, runtime: Runtime) {
    this.path = path;
    void runtime.closed.then(() => {
      this.#lostAt = Date.now();
    });
  }

  look(looks: readonly SocketLook[]): FormerRuntime {
    if (looks.some(({ path }) => path === this.path)) this.#goneSince = undefined;
    else this.#goneSince ??= performance.now();
    const goneFor = this.#goneSince === undefined ? undefined : performance.now() - this.#goneSince;
    return { path: this.path, lostAt: this.#lostAt, goneFor };
  }
}

function nothingFound(looks: readonly SocketLook[], former: string | undefined): Failure {
  const tried = 'looking for a container runtime';
  if (looks.length === 0) {
    const problem = `there is no socket at ${knownSockets.flat().join(', ')}`;
    const advice = 'start the runtime, mount the directory of its socket, or say where it is with --runtime';
    return new Failure({ tried, problem, advice });
  }
  const isAnswered = looks.some(({ runtime }) => runtime);
  const waits = isAnswered ? `${former} was used before and is waited for: ` : '';
  const advice = isAnswered
    ? 'start that one again, or say with --runtime which one is to be used'
    : 'start the runtime, or say where it is with --runtime';
  return new Failure({ tried, problem: waits + listed(looks), advice });
}

function listed(looks: readonly SocketLook[]): string {
  return looks.map(({ path, remark }) => `${path} (${remark})`).join(', ');
}

function socketOnNode(uri: string, hostRoot: string): string {
  // /var/run is a link to /run everywhere, and an absolute one would lead out of the node's root as mounted here.
  return join(hostRoot, uri.slice('unix://'.length).replace(/^\/var\/run\//, '/run/'));
}
