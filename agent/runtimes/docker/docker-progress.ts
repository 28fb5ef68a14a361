import type { MeasuredPull, PullProgress, PullUnderWay } from '../runtime.ts';
import { LayerProgress } from './layer-progress.ts';

/** How far the pulls of one connection are, each by its own stream. */
export class DockerProgress {
  readonly #announcesAll: boolean;
  readonly #pulls = new Map<string, { readonly layers: LayerProgress; isOver: boolean }>();

  /** See LayerProgress. */
  constructor(announcesAll: boolean) {
    this.#announcesAll = announcesAll;
  }

  /** Runs a pull, which tells of its layers. */
  async follow(name: string, pull: (layers: LayerProgress) => Promise<void>): Promise<void> {
    const followed = { layers: new LayerProgress(this.#announcesAll), isOver: false };
    this.#pulls.set(name, followed);
    try {
      await pull(followed.layers);
      followed.layers.finish();
    } finally {
      followed.isOver = true;
    }
  }

  /** How far these are. One that is over is known until it is not asked for any more. */
  measure(pulls: readonly PullUnderWay[]): PullProgress {
    const asked = new Set(pulls.map(({ name }) => name));
    const images = new Map<string, MeasuredPull>();
    for (const [name, { layers, isOver }] of this.#pulls) {
      const measured = asked.has(name) ? layers.measure() : undefined;
      if (measured) images.set(name, measured);
      else if (!asked.has(name) && isOver) this.#pulls.delete(name);
    }
    return { images, otherBytes: 0 };
  }
}
