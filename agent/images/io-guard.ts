import { measureIoPressure } from './io-pressure.ts';

/** More I/O pressure than pulls may add to: shares, from 0 to 1. */
export type IoPressure = { readonly share: number; readonly limit: number };

const noPressure =
  'pulls.maxIoPressure has no effect: the kernel of the node does not tell its I/O pressure (boot it with psi=1)';

/** Keeps pulls from starting while the node's disks are under pressure. Those under way go on. */
export class IoGuard {
  readonly #onHigh: () => void;
  readonly #onCalm: () => void;
  readonly #measure: typeof measureIoPressure;
  #high: IoPressure | null = null;
  #problem: string | null = null;

  /**
   * `onHigh` is called at the first look that finds too much pressure: nothing may start. `onCalm` is called at the
   * first one after that which does not.
   */
  constructor(onHigh: () => void, onCalm: () => void, measure = measureIoPressure) {
    this.#onHigh = onHigh;
    this.#onCalm = onCalm;
    this.#measure = measure;
  }

  /** The pressure, while it is too high. */
  get high(): IoPressure | null {
    return this.#high;
  }

  /** Why the limit has no effect; null if it has, or there is none. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Measures the pressure, if there is a limit: 1 is none. A kernel that does not tell it counts as calm. */
  async look(limit: number): Promise<void> {
    const measured = limit < 1 ? await this.#measure() : 0;
    this.#problem = measured === undefined ? noPressure : null;
    const share = measured ?? 0;
    const wasHigh = this.#high !== null;
    this.#high = share > limit ? { share, limit } : null;
    if (this.#high && !wasHigh) this.#onHigh();
    if (!this.#high && wasHigh) this.#onCalm();
  }
}
