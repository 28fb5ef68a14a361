import { Bell, wait } from '../base/bell.ts';
import { messageOf } from '../base/failure.ts';
import type { Logger } from '../base/log.ts';
import type { Config } from '../config.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import type { DiskGuard } from './disk-guard.ts';
import type { IoGuard } from './io-guard.ts';
import type { PullQueue } from './pull-queue.ts';

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

  constructor(options: PullMeterOptions) {
    this.#options = options;
  }

  /** To be called when a pull has started or must wait for the disk: from now on there is something to watch over. */
  wake(): void {
    this.#wanted.ring();
  }

  /** Looks once a second while something is pulled or waits for the disk, until `signal` aborts. */
  async run(runtime: Runtime, signal: AbortSignal): Promise<void> {
    const { queue, disk, io, config } = this.#options;
    let measuring: Promise<void> | undefined;
    while (!signal.aborted) {
      if (!queue.busy && !disk.isLow && !io.high) await this.#wanted.heard(config().pulls.resync, signal);
      // Not awaited here: a runtime that is slow to tell must not keep the disk from being looked at.
      if (queue.busy)
        measuring ??= this.measure(runtime, signal).finally(() => {
          measuring = undefined;
        });
      await disk.look(config().disk.keepFree);
      await io.look(config().pulls.maxIoPressure);
      await wait(intervalMilliseconds, signal);
    }
    await measuring;
  }

  /** Looks once how far the pulls are, and fails those that stall. Never rejects: no pull depends on its progress. */
  async measure(runtime: Runtime, signal: AbortSignal): Promise<void> {
    if (!runtime.progress) return;
    const { queue, config, log } = this.#options;
    const pulls = queue.images.flatMap(({ state, wanted, startedAt }) =>
      state === 'pulling' && startedAt ? [{ ...wanted.reference, startedAt }] : [],
    );
    try {
      queue.setProgress(await runtime.progress(pulls, signal));
      queue.failStalled(config().pulls.stallTimeout);
    } catch (error) {
      log.debug(`the progress of pulls cannot be told: ${messageOf(error)}`);
    }
  }
}
