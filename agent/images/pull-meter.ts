import { Bell, wait } from '../base/bell.ts';
import { messageOf } from '../base/failure.ts';
import type { Logger } from '../base/log.ts';
import type { Config } from '../config.ts';
import type { PullUnderWay, Runtime } from '../runtimes/runtime.ts';
import type { DiskGuard } from './disk-guard.ts';
import type { IoGuard } from './io-guard.ts';
import type { PullQueue } from './pull-queue.ts';
import type { WantedImage } from './wanted-images.ts';

/** What a meter watches over. */
export type PullMeterOptions = {
  readonly queue: PullQueue;
  readonly disk: DiskGuard;
  readonly io: IoGuard;
  readonly config: () => Config;
  readonly log: Logger;
};

const intervalMilliseconds = 1_000;

/** Watches over the pulls that are under way: how far they are, whether they stall, how much room is left for them. */
export class PullMeter {
  readonly #options: PullMeterOptions;
  readonly #wanted = new Bell();
  /** Pulls that have ended well since the last measure: a quick one is over before its size was ever asked for. */
  #ended: PullUnderWay[] = [];
  /** When the last measure began, by `performance.now()`. */
  #measuredAt = Number.NEGATIVE_INFINITY;
  /** The measure that is under way. */
  #measuring: Promise<void> | undefined;
  #connection: { readonly runtime: Runtime; readonly signal: AbortSignal } | undefined;

  constructor(options: PullMeterOptions) {
    this.#options = options;
  }

  /** To be called when a pull has started, or waits for the disk: from now on there is something to watch over. */
  wake(): void {
    this.#wanted.ring();
  }

  /**
   * Looks once a second, until `signal` aborts, while something is pulled or waits for the disk; else only as often as
   * everything is looked at.
   */
  async run(runtime: Runtime, signal: AbortSignal): Promise<void> {
    const { disk, io, config } = this.#options;
    this.#connection = { runtime, signal };
    while (!signal.aborted) {
      if (!this.#isNeeded) await this.#wanted.heard(config().pulls.resync, signal);
      // Not awaited here: a runtime that is slow to tell must not keep the disk from being looked at.
      void this.#measureOnce();
      await disk.look(config().disk.keepFree);
      await io.look(config().pulls.maxIoPressure);
      await wait(intervalMilliseconds, signal);
    }
    await this.#measuring;
  }

  /** A pull has ended well, before that is told: measures it, unless a measure was just now; then the next one will. */
  async ended({ reference }: WantedImage): Promise<void> {
    const { queue } = this.#options;
    const pull = queue.underWay.find(({ name }) => name === reference.name);
    if (!pull) return;
    this.#ended.push(pull);
    if (!this.#measuring) await this.#measureOnce();
  }

  get #isNeeded(): boolean {
    const { queue, disk, io } = this.#options;
    return queue.busy || this.#ended.length > 0 || ((disk.isLow || io.high !== null) && queue.hasDue);
  }

  /** Measures, unless that is under way or was done within the last second. */
  #measureOnce(): Promise<void> {
    // Timers may end a little before their time.
    if (performance.now() - this.#measuredAt < intervalMilliseconds - 5) return Promise.resolve();
    this.#measuring ??= this.#measure().finally(() => {
      this.#measuring = undefined;
    });
    return this.#measuring;
  }

  /** Measures how far the pulls are, and fails those that stall. Never rejects: no pull depends on its progress. */
  async #measure(): Promise<void> {
    const { queue, config, log } = this.#options;
    const { runtime, signal } = this.#connection ?? {};
    const ended = this.#ended.splice(0);
    if (!runtime?.progress || !signal || (ended.length === 0 && !queue.busy)) return;
    const { underWay } = queue;
    const names = new Set(underWay.map(({ name }) => name));
    this.#measuredAt = performance.now();
    try {
      const pulls = [...underWay, ...ended.filter(({ name }) => !names.has(name))];
      queue.setProgress(await runtime.progress(pulls, signal));
      queue.failStalled(config().pulls.stallTimeout);
    } catch (error) {
      log.debug(`the progress of pulls cannot be told: ${messageOf(error)}`);
    }
  }
}
