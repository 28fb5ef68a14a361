import { backoffLimit } from '../base/backoff.ts';
import { Failure, messageOf } from '../base/failure.ts';
import type { Logger } from '../base/log.ts';
import { RuntimeFinder } from '../runtimes/find-runtime.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import type { RuntimeState } from './images-state.ts';

/** Where a runtime is looked for. */
export type RuntimeConnectionOptions = {
  /** `auto` or `unix:///path/on/the/node`. */
  readonly runtime: string;
  /** The node's root as mounted here. */
  readonly hostRoot: string;
  readonly log: Logger;
};

/** While nothing answers, a runtime is looked for this often; to find a socket missing costs next to nothing. */
const retryMilliseconds = 1_000;

/** A connection that ends sooner than so many milliseconds says that the next one may, too. */
const shortMilliseconds = 30_000;

/** The connection to the node's runtime: it is looked for, and made anew when it is lost. */
export class RuntimeConnection {
  readonly #finder: RuntimeFinder;
  readonly #log: Logger;
  #state = unavailable('it was not looked for yet');
  #runtime: Runtime | undefined;
  /** When the connection was made that is or just was, by `performance.now()`. */
  #madeAt: number | undefined;
  /** How many connections in a row did not last. */
  #shortOnes = 0;

  constructor({ runtime, hostRoot, log }: RuntimeConnectionOptions) {
    this.#finder = new RuntimeFinder(runtime, hostRoot);
    this.#log = log;
  }

  get state(): RuntimeState {
    return this.#state;
  }

  /** The runtime that is worked with; undefined while there is none. */
  get runtime(): Runtime | undefined {
    return this.#runtime;
  }

  /**
   * Finds a runtime and works with it, until the connection is lost or `signal` aborts; the signal that `work` gets
   * aborts in either case. Never rejects: what goes wrong is told by `state`.
   */
  async use(
    work: (runtime: Runtime, connected: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const runtime = await this.#finder.find(signal);
      const lost = new AbortController();
      void runtime.closed.then(() => lost.abort());
      try {
        await work(runtime, AbortSignal.any([signal, lost.signal]));
        if (!signal.aborted)
          throw new Failure({ tried: `working with ${runtime.endpoint}`, problem: await runtime.closed });
      } finally {
        this.#runtime = undefined;
        runtime.close();
      }
    } catch (error) {
      if (!signal.aborted) this.tellFailure(error);
    }
  }

  /** To be called when the runtime has shown that it can be worked with. */
  tellSuccess(runtime: Runtime): void {
    if (this.#runtime === undefined) {
      const { name, version, endpoint } = runtime;
      const because = this.#finder.reason;
      this.#log.info({ runtime: name, version, endpoint, because }, 'connected to the container runtime');
      this.#runtime = runtime;
      this.#madeAt = performance.now();
    }
    if (this.#state.state !== 'connected') this.#state = connectedTo(runtime, this.#finder.reason);
  }

  /** To be called when it did not answer as it should. It may only be busy: the connection stays. */
  tellFailure(error: unknown): void {
    const problem = messageOf(error);
    if (problem !== this.#state.problem) this.#log.warn(problem);
    this.#state = unavailable(problem);
  }

  /** Milliseconds until a runtime is to be looked for again: more and more if it takes connections and ends them. */
  retryIn(): number {
    const isShort = this.#madeAt !== undefined && performance.now() - this.#madeAt < shortMilliseconds;
    this.#shortOnes = isShort ? this.#shortOnes + 1 : 0;
    this.#madeAt = undefined;
    return backoffLimit({ initial: retryMilliseconds, max: shortMilliseconds }, this.#shortOnes + 1);
  }
}

/** The state where no runtime is to be used. */
export const noRuntime: RuntimeState = { ...unavailable(null), state: 'none' };

function connectedTo(runtime: Runtime, reason: string | null): RuntimeState {
  const { name, version, endpoint, progress, pins, watchDeletions } = runtime;
  const capabilities = { progress: !!progress, pins: !!pins, deletions: !!watchDeletions };
  return { state: 'connected', name, version, endpoint, reason, problem: null, capabilities };
}

function unavailable(problem: string | null): RuntimeState {
  return {
    state: 'unavailable',
    name: null,
    version: null,
    endpoint: null,
    reason: null,
    problem,
    capabilities: null,
  };
}
