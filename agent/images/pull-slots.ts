/** How many pulls may be under way on the node, and how many of them from one registry. */
export type SlotLimits = { readonly concurrency: number; readonly perRegistry: number };

/** The pulls that are under way, and the registries that are left alone for a while. */
export class PullSlots {
  /** The registry of every pull that has not ended yet, cancelled ones too: they hold their slot until then. */
  readonly #held = new Map<Promise<void>, string>();
  readonly #registryFreeAt = new Map<string, number>();

  /** True while any pull has not ended yet. */
  get busy(): boolean {
    return this.#held.size > 0;
  }

  /** Whether one more pull from the registry stays within the limits. */
  isFree(registry: string, { concurrency, perRegistry }: SlotLimits): boolean {
    const registries = [...this.#held.values()];
    return (
      registries.length < concurrency && registries.filter(host => host === registry).length < perRegistry
    );
  }

  /** Whether all slots of the node are held. */
  isFull({ concurrency }: SlotLimits): boolean {
    return this.#held.size >= concurrency;
  }

  /** Holds a slot until `pull` has ended, then calls `onFree`. */
  hold(registry: string, pull: Promise<void>, onFree: () => void): void {
    const held = pull.finally(() => {
      this.#held.delete(held);
      onFree();
    });
    this.#held.set(held, registry);
  }

  /** Asks nothing of the registry for so many milliseconds. */
  leaveAlone(registry: string, milliseconds: number): void {
    // A longer pause is not made shorter.
    this.#registryFreeAt.set(
      registry,
      Math.max(this.registryFreeAt(registry), performance.now() + milliseconds),
    );
  }

  /** When the registry may be asked again, by `performance.now()`. */
  registryFreeAt(registry: string): number {
    return this.#registryFreeAt.get(registry) ?? Number.NEGATIVE_INFINITY;
  }

  /** Resolves when every pull that is under way now has ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#held.keys());
  }
}
