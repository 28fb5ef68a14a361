import { messageOf } from '../base/failure.ts';
import type { Pins, PresentImage, PresentImages } from '../runtimes/runtime.ts';
import type { WantedImage } from './wanted-images.ts';

/**
 * Keeps the images of the list that are to be pinned from the kubelet's garbage collection, and lets go of all others.
 * What is pinned is asked of the runtime, where the pins are; only those that are ours are ever taken away.
 */
export class PinKeeper {
  #pinned: ReadonlySet<string> = new Set();
  #ours: ReadonlySet<string> | undefined;
  #problem: string | null = null;
  #isUntold = false;

  /** The names of the images of the list that are pinned, by us or by whoever else. */
  get pinned(): ReadonlySet<string> {
    return this.#pinned;
  }

  /** Whether the runtime keeps the pins and does not tell the kubelet of them. */
  get isUntold(): boolean {
    return this.#isUntold;
  }

  /** Why pins are not as they should be; null if they are. */
  get problem(): string | null {
    return this.#problem;
  }

  /** To be called for another connection: somebody may have changed the pins meanwhile. */
  forget(): void {
    this.#ours = undefined;
  }

  /**
   * Brings the pins to what the list wants of the images that are there. Asks nothing of the runtime if there is
   * nothing to change. Never rejects: no pull depends on a pin.
   */
  async keep(
    pins: Pins | undefined,
    wanted: readonly WantedImage[],
    present: PresentImages,
    signal: AbortSignal,
  ): Promise<void> {
    const ids = new Set(
      wanted.flatMap(({ pin, reference }) => (pin ? (present.get(reference.name)?.id ?? []) : [])),
    );
    const asked = this.#ours;
    let found: ReadonlySet<string> = new Set();
    try {
      this.#problem = null;
      if (pins) found = await this.#bringTo(ids, pins, signal);
    } catch (error) {
      this.#problem = messageOf(error);
      this.#ours = undefined;
    }
    // What was pinned before the images were listed, and still is, should be listed as pinned.
    this.#isUntold = [...present.values()].some(
      ({ id, isPinned }) => !isPinned && !!asked?.has(id) && found.has(id),
    );
    const names = wanted.map(({ reference }) => reference.name);
    this.#pinned = new Set(names.filter(name => this.#isPinned(present.get(name))));
  }

  #isPinned(image: PresentImage | undefined): boolean {
    return image !== undefined && (image.isPinned || (this.#ours?.has(image.id) ?? false));
  }

  /** Returns which images were found to have a pin of ours that they are to have. */
  async #bringTo(ids: ReadonlySet<string>, pins: Pins, signal: AbortSignal): Promise<ReadonlySet<string>> {
    // A deletion takes the pin along, so while something is to be pinned the truth is asked for at every look.
    if (this.#ours?.size === 0 && ids.size === 0) return new Set();
    const { ours, others, lost } = await pins.list(signal);
    // What somebody else has pinned needs no pin of ours, which could only be mistaken for theirs.
    const wanted = ids.difference(others);
    for (const id of wanted.difference(ours)) await pins.pin(id, signal);
    // A mark without a pin goes too: it would make the next pin of somebody else's ours.
    for (const id of ours.union(lost).difference(wanted)) await pins.unpin(id, signal);
    this.#ours = wanted;
    return ours.intersection(wanted);
  }
}
