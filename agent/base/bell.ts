import { setTimeout as delay } from 'node:timers/promises';

/**
 * A hint that something may have changed. Ringing a hundred times before anybody listens is heard once, which is
 * right for a listener that looks at the whole truth each time: nothing queues up and nothing is missed.
 */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Resolves when the bell was rung since the last call, after `milliseconds`, or when `signal` aborts. Never rejects. */
  async heard(milliseconds: number, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      const cancel = new AbortController();
      const rung = new Promise<void>(resolve => {
        this.#wake = resolve;
      });
      await Promise.race([rung, wait(milliseconds, AbortSignal.any([signal, cancel.signal]))]);
      cancel.abort();
      this.#wake = undefined;
    }
    this.#rung = false;
  }
}

/** Waits so many milliseconds, or less if `signal` aborts. Never rejects. */
export async function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  // A timer takes 31 bits; one that is set for longer than that would end at once, and one for less than nothing warns.
  await delay(Math.min(Math.max(milliseconds, 0), 2 ** 31 - 1), undefined, { signal }).catch(() => {
    // The only way to fail is the abort, which ends the wait as asked.
  });
}

/** Resolves when `signal` aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted)
    await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }));
}
