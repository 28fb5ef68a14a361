import type { Backoff } from '../base/backoff.ts';
import { PullFailure, type PullFailureKind } from '../runtimes/pull-failure.ts';
import type { PullProgress } from '../runtimes/runtime.ts';
import { type ImageState, newImageState } from './image-state.ts';
import { planRetry, waitsForChange, waitsForNode } from './retry.ts';
import type { WantedImage } from './wanted-images.ts';

/** How many pulls may be under way, and how long to wait after a failed one. */
type PullLimits = {
  readonly concurrency: number;
  readonly perRegistry: number;
  readonly retry: Backoff;
};

/** What the queue works with. */
export type PullQueueOptions = {
  /** Pulls one image; throws a PullFailure. It is not called while `mayStart` says no. */
  readonly pull: (image: WantedImage, signal: AbortSignal) => Promise<void>;
  readonly limits: () => PullLimits;
  /** Called after every change of any state, with the new one. */
  readonly onChange: (image: ImageState) => void;
};

type Item = {
  image: ImageState;
  /** It is known whether it is on the node. */
  looked: boolean;
  /** Ends the pull that is under way; undefined while none is. */
  cancel: AbortController | undefined;
  /** To be pulled although it is present: the policy is `Always` and the registry was not asked yet. */
  refresh: boolean;
  /** When the last byte came, in milliseconds since 1970. */
  lastByteAt: number;
  /** When the last successful pull ended, in milliseconds since 1970. */
  pulledAt: number;
};

/**
 * The images of the list and their pulls: highest priority first and then in list order, never more at once than the
 * limits allow, each failure with its own wait, so that one image never holds up the others.
 */
export class PullQueue {
  readonly #options: PullQueueOptions;
  /** In the order in which they are to be pulled. */
  #items = new Map<string, Item>();
  readonly #registryFreeAt = new Map<string, number>();
  /** The registry of every pull that has not ended yet, cancelled ones too: they hold their slot until then. */
  readonly #running = new Map<Promise<void>, string>();
  #timer: NodeJS.Timeout | undefined;
  #open = false;

  constructor(options: PullQueueOptions) {
    this.#options = options;
  }

  /** All images as they stand, in the order in which they are pulled. */
  get images(): readonly ImageState[] {
    return [...this.#items.values()].map(({ image }) => image);
  }

  /** True while any pull has not ended yet. */
  get busy(): boolean {
    return this.#running.size > 0;
  }

  /**
   * Takes over a new list. What left it is cancelled, what is still on it goes on, and what is new waits until it is
   * known whether it is on the node.
   */
  setList(wanted: readonly WantedImage[]): void {
    const before = this.#items;
    this.#items = new Map();
    for (const image of wanted) {
      const known = before.get(image.reference.name);
      const item = known ?? newItem(image);
      if (known) {
        known.image = { ...known.image, wanted: image };
        if (image.pullPolicy !== 'Always') known.refresh = false;
      }
      this.#items.set(image.reference.name, item);
    }
    for (const [name, item] of before) if (!this.#items.has(name)) item.cancel?.abort();
  }

  /**
   * Takes over what was on the node at `asOf`, in milliseconds since 1970. What is gone is pulled again; what was pulled
   * since then may be missing in so old an answer.
   */
  setPresent(present: ReadonlySet<string>, asOf = Date.now()): void {
    for (const [name, item] of this.#items) {
      item.looked = true;
      if (item.cancel) continue;
      const { state, warm } = item.image;
      if (!present.has(name) && (warm || state === 'present')) {
        if (item.pulledAt >= asOf) continue;
        this.#change(item, {
          state: 'waiting',
          warm: false,
          failure: null,
          attempts: 0,
          bytesDone: 0,
          bytesTotal: null,
        });
      } else if (present.has(name) && !item.refresh && state !== 'present') {
        this.#change(item, { state: 'present', warm: true, failure: null, nextAttemptAt: null });
      }
    }
    this.#pump();
  }

  /** From the periodic resync: what waits for a change is tried again, and `Always` asks the registry again. */
  resync(): void {
    for (const item of this.#items.values()) {
      if (item.image.wanted.pullPolicy === 'Always') item.refresh = true;
      this.#retryIf(item, waitsForChange);
    }
  }

  /** New credentials have come: what failed for want of them is tried again at once. */
  credentialsChanged(): void {
    for (const item of this.#items.values()) this.#retryIf(item, kind => kind === 'auth');
    this.#pump();
  }

  /** Allows pulls to start; those that the runtime's absence stopped go on. */
  open(): void {
    this.#open = true;
    for (const item of this.#items.values()) this.#retryIf(item, waitsForNode);
    this.#pump();
  }

  /** Lets no further pull start. Those under way go on, unless `reason` is given, with which they then fail. */
  close(reason?: PullFailure): void {
    this.#open = false;
    if (reason) for (const { cancel } of this.#items.values()) cancel?.abort(reason);
  }

  /** Cancels everything and resolves when no pull is under way any more. */
  async stop(): Promise<void> {
    this.#open = false;
    clearTimeout(this.#timer);
    for (const { cancel } of this.#items.values()) cancel?.abort();
    await Promise.all(this.#running.keys());
  }

  /**
   * Fails every pull for which no new byte came for `timeout` milliseconds, also one of which nothing came at all. One
   * that has all its bytes is being unpacked, however long that takes.
   */
  failStalled(timeout: number): void {
    for (const { cancel, image, lastByteAt } of this.#items.values()) {
      const { bytesDone, bytesTotal, startedAt } = image;
      if (!cancel || (bytesTotal !== null && bytesDone >= bytesTotal)) continue;
      if (Date.now() - Math.max(lastByteAt, startedAt?.getTime() ?? 0) > timeout) {
        cancel.abort(
          new PullFailure('stalled', `stopped at ${bytesDone} of ${bytesTotal ?? 'unknown'} bytes`),
        );
      }
    }
  }

  /** Takes over how far the pulls are; never backwards, also if the store forgets a partial layer. */
  setProgress(progress: PullProgress): void {
    for (const [name, { bytesDone, bytesTotal }] of progress) {
      const item = this.#items.get(name);
      if (!item?.cancel) continue;
      const done = Math.max(bytesDone, item.image.bytesDone);
      if (done !== item.image.bytesDone || bytesTotal !== item.image.bytesTotal) {
        item.lastByteAt = Date.now();
        this.#change(item, { bytesDone: done, bytesTotal });
      }
    }
  }

  #pump(): void {
    clearTimeout(this.#timer);
    if (!this.#open) return;
    const now = Date.now();
    let next = Number.POSITIVE_INFINITY;
    for (const item of this.#items.values()) {
      const at = this.#startsAt(item);
      if (at > now) next = Math.min(next, at);
      else if (this.#hasSlot(item.image.wanted.reference.registry)) this.#start(item);
    }
    if (next < Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.#pump(), next - now);
  }

  /** When the item may start, as far as it alone is concerned; infinity if it has no reason to. */
  #startsAt({ image, cancel, refresh, looked }: Item): number {
    if (!looked || cancel || (image.state === 'present' && !refresh)) return Number.POSITIVE_INFINITY;
    const retryAt = image.failure ? (image.nextAttemptAt?.getTime() ?? Number.POSITIVE_INFINITY) : 0;
    return Math.max(retryAt, this.#registryFreeAt.get(image.wanted.reference.registry) ?? 0);
  }

  #hasSlot(registry: string): boolean {
    const { concurrency, perRegistry } = this.#options.limits();
    const running = [...this.#running.values()];
    return running.length < concurrency && running.filter(host => host === registry).length < perRegistry;
  }

  #start(item: Item): void {
    const cancel = new AbortController();
    const { wanted, state, failure, attempts } = item.image;
    item.cancel = cancel;
    this.#change(item, {
      state: 'pulling',
      // A later look at the registry, for the policy Always, begins to count anew.
      attempts: state === 'present' && !failure ? 1 : attempts + 1,
      bytesDone: 0,
      bytesTotal: null,
      nextAttemptAt: null,
      startedAt: new Date(),
    });
    const running = this.#pull(item, cancel.signal).finally(() => {
      this.#running.delete(running);
      this.#pump();
    });
    this.#running.set(running, wanted.reference.registry);
  }

  async #pull(item: Item, signal: AbortSignal): Promise<void> {
    const { wanted, startedAt } = item.image;
    try {
      await this.#options.pull(wanted, signal);
      item.cancel = undefined;
      item.refresh = false;
      item.pulledAt = Date.now();
      const durationMs = Date.now() - (startedAt?.getTime() ?? 0);
      const bytesDone = item.image.bytesTotal ?? item.image.bytesDone;
      this.#change(item, { state: 'present', warm: true, failure: null, bytesDone, durationMs });
    } catch (error) {
      item.cancel = undefined;
      if (signal.aborted && !(signal.reason instanceof PullFailure)) return;
      const reason = signal.aborted ? signal.reason : error;
      this.#fail(
        item,
        reason instanceof PullFailure ? reason : new PullFailure('unknown', String(reason), reason),
      );
    }
  }

  #fail(item: Item, failure: PullFailure): void {
    const { warm, wanted, attempts } = item.image;
    const { registry } = wanted.reference;
    const plan = planRetry(failure.kind, attempts, this.#options.limits().retry);
    if (plan.registryPause > 0) this.#registryFreeAt.set(registry, Date.now() + plan.registryPause);
    const freeAt = this.#registryFreeAt.get(registry) ?? 0;
    this.#change(item, {
      state: warm ? 'present' : plan.state,
      failure: { kind: failure.kind, message: failure.message },
      nextAttemptAt: plan.delay === null ? null : new Date(Math.max(Date.now() + plan.delay, freeAt)),
    });
  }

  #retryIf(item: Item, applies: (kind: PullFailureKind) => boolean): void {
    const { failure } = item.image;
    if (!item.cancel && failure && applies(failure.kind)) this.#change(item, { nextAttemptAt: new Date() });
  }

  #change(item: Item, change: Partial<ImageState>): void {
    item.image = { ...item.image, ...change };
    this.#options.onChange(item.image);
  }
}

function newItem(image: WantedImage): Item {
  const refresh = image.pullPolicy === 'Always';
  return {
    image: newImageState(image),
    looked: false,
    cancel: undefined,
    refresh,
    lastByteAt: 0,
    pulledAt: 0,
  };
}
