import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';

/** How a connection's server is asked whether it lives, and what happens when it does not. */
export type LivenessOptions = {
  /** Makes a call that a server answers at once also when it has much to do. */
  readonly ask: () => Promise<unknown>;
  /** Is to close the connection: only that ends the calls that are under way. */
  readonly onSilence: () => void;
};

/** How often it is looked whether something was answered, in milliseconds. */
const intervalMilliseconds = 2_000;

/**
 * How many looks in a row find no answer before one is asked for, and before the connection is given up. They are
 * counted and not timed, because time in which this process itself stood still says nothing of the server.
 */
const [askAfter, giveUpAfter] = [2, 6];

/**
 * Tells a server that hangs from one that is slow. While calls are under way, any answer is a sign of life; if none
 * came for 2 to 4 seconds, one is asked for, and if none comes for 8 more, the connection is given up. Without calls
 * nothing is asked.
 *
 * HTTP/2 has pings for that, but servers written in Go take more than a few of them, with no other call between, for an
 * attack and close the connection ("too_many_pings").
 */
export class Liveness {
  readonly #options: LivenessOptions;
  #underWay = 0;
  #silentLooks = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** Is to see every call of the connection. */
  readonly interceptor: Interceptor = next => async request => {
    // A stream may be silent for as long as there is nothing to tell.
    if (request.stream) return next(request);
    this.#begin();
    try {
      const answer = await next(request);
      this.#silentLooks = 0;
      return answer;
    } catch (error) {
      if (!endedHere(error)) this.#silentLooks = 0;
      throw error;
    } finally {
      this.#end();
    }
  };

  #begin(): void {
    if (++this.#underWay > 1) return;
    this.#silentLooks = 0;
    this.#timer = setInterval(() => this.#look(), intervalMilliseconds);
  }

  #end(): void {
    if (--this.#underWay === 0) clearInterval(this.#timer);
  }

  #look(): void {
    const { ask, onSilence } = this.#options;
    this.#silentLooks++;
    if (this.#silentLooks === askAfter) {
      ask().catch(() => {
        // An error is an answer, too.
      });
    }
    if (this.#silentLooks === giveUpAfter) onSilence();
  }
}

/** Whether the call was given up on this side, which says nothing of the other one. */
function endedHere(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return code === Code.Canceled || code === Code.DeadlineExceeded;
}
