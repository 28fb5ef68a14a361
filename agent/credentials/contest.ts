/** So many repairs within the window, in milliseconds, are a contest and no chance. */
const limit = 10;
const window = 60_000;

/**
 * Whether somebody rewrites one file over and over against us. Then it is left to them until the next resync: two who
 * repair the same file against each other would do so for ever. After the pause one repair is tried; the first one
 * that is undone begins the next pause. Times are in milliseconds of a clock that nobody sets.
 */
export class Contest {
  #repairs: readonly number[] = [];
  #pausedUntil = 0;
  #lost = 0;

  /** To be called when what somebody else did to our file was repaired, or could not be. */
  noteRepair(now: number, resync: number): void {
    this.#repairs = [...this.#repairs.filter(time => now - time < window), now];
    this.#lost++;
    if (this.#repairs.length < limit) return;
    this.#pausedUntil = now + resync;
    // After the pause one more is enough.
    this.#repairs = Array.from({ length: limit - 1 }, () => this.#pausedUntil);
  }

  /** Whether the file is left alone now. */
  isPaused(now: number): boolean {
    return now < this.#pausedUntil;
  }

  /** How long the file is left alone yet, in milliseconds. */
  pauseLeft(now: number): number {
    return Math.max(0, this.#pausedUntil - now);
  }

  /** How often the file was taken from us. */
  get lost(): number {
    return this.#lost;
  }
}
