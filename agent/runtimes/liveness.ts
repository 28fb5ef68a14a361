/** How a connection's server is asked whether it lives, and what happens when it does not. */
export type LivenessOptions = {
  /** Makes a call that a server answers at once also when it has much to do. */
  readonly ask: () => Promise<unknown>;
  /** Is to close the connection: only that ends the calls that are under way. */
  readonly onSilence: () => void;
};

/** A call that is under way. */
export type LiveCall = {
  /** Something came from the server. */
  answered(): void;
  /** The call is over, for whatever reason. To be told once. */
  ended(): void;
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
 * attack and close the connection ("too_many_pings"); HTTP/1.1 has none.
 */
export class Liveness {
  readonly #options: LivenessOptions;
  #underWay = 0;
  #silentLooks = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** To be told of every call of the connection, also of those that are asked for here. */
  callBegins(): LiveCall {
    if (++this.#underWay === 1) {
      this.#silentLooks = 0;
      this.#timer = setInterval(() => this.#look(), intervalMilliseconds);
    }
    return {
      answered: () => {
        this.#silentLooks = 0;
      },
      ended: () => {
        if (--this.#underWay === 0) clearInterval(this.#timer);
      },
    };
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
