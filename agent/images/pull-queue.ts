import type { Backoff } from '../base/backoff.ts';
import { PullFailure, type PullFailureKind } from '../runtimes/pull-failure.ts';
import type { MeasuredPull, PullProgress, PullUnderWay } from '../runtimes/runtime.ts';
import { failed, found, gone, type ImageState, progressed, pulled, started } from './image-state.ts';
import { PullSlots, type SlotLimits } from './pull-slots.ts';
import { givesWay, pullDueAt, type QueuedImage, queueImage, requeueImage, stallOf } from './queued-image.ts';
import { goesOnAtOnce, needsCredentials, planRetry, waitsForChange } from './retry.ts';
import { findSilentPull, registryOf } from './silent-registry.ts';
import type { WantedImage } from './wanted-images.ts';

/** What the queue works with. */
export type PullQueueOptions = {
  /**
   * Whether one more pull may start, asked right before it does; if not, none does until the queue is opened again. All
   * may if it is not given.
   */
  readonly admit?: () => Promise<boolean>;
  /** Pulls one image; throws a PullFailure. */
  readonly pull: (image: WantedImage, signal: AbortSignal) => Promise<void>;
  /** How many pulls may be under way, and how long to wait after a failed one. */
  readonly limits: () => SlotLimits & { readonly retry: Backoff };
  /** Called after every change of any image, with how it stands now. */
  readonly onChange: (image: ImageState) => void;
};

/** How long a registry that holds all slots may take to answer while others wait, in milliseconds. */
const silenceMilliseconds = 15_000;

/**
 * The images of the list and their pulls: highest priority first and then in list order, never more at once than the
 * limits allow, each failure with its own wait, so that one image never holds up the others. What held its slot for nothing
 * stands behind all others: a registry that never sends what it promised would have all slots for ever.
 */
export class PullQueue {
  readonly #options: PullQueueOptions;
  readonly #slots = new PullSlots();
  /** By the name of the image, in the order in which they are to be pulled. */
  #items = new Map<string, QueuedImage>();
  #otherBytes = 0;
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
    return this.#slots.busy;
  }

  /** The pulls that are under way. */
  get underWay(): readonly PullUnderWay[] {
    return [...this.#items.values()]
      .filter(({ image }) => image.state === 'pulling')
      .map(({ image, startedAt }) => ({ ...image.wanted.reference, age: performance.now() - startedAt }));
  }

  /** True while any image is to be pulled, now or after a wait, if pulls may start. */
  get hasDue(): boolean {
    return [...this.#items.values()].some(item => pullDueAt(item) < Number.POSITIVE_INFINITY);
  }

  /**
   * Takes over a new list. What left it is cancelled, and what is still on it goes on. What is new, or waited for a
   * change, is pulled after the next look at what is on the node.
   */
  setList(wanted: readonly WantedImage[]): void {
    const before = this.#items;
    this.#items = new Map();
    for (const image of wanted) {
      const { name } = image.reference;
      const known = before.get(name);
      if (known) requeueImage(known, image);
      this.#items.set(name, known ?? queueImage(image));
      before.delete(name);
    }
    // Told when the new list is whole: who hears of a change looks at all images.
    for (const item of before.values()) {
      item.cancel?.abort();
      this.#change(item, { listed: false });
    }
    for (const item of this.#items.values()) this.#retryIf(item, waitsForChange);
  }

  /**
   * Takes over what was on the node at `asOf`, by `performance.now()`. What is gone is pulled again; what was pulled since
   * then may be missing in so old an answer.
   */
  setPresent(present: Pick<ReadonlySet<string>, 'has'>, asOf = performance.now()): void {
    for (const [name, item] of this.#items) {
      item.looked = true;
      if (item.cancel) continue;
      const { state, warm, failure } = item.image;
      if (present.has(name)) {
        if (!item.refresh && (state !== 'present' || failure)) this.#change(item, found());
      } else if ((warm || state === 'present') && item.pulledAt < asOf) this.#change(item, gone());
    }
    this.#pump();
  }

  /** Has the next look try again what waits for a change, and ask the registry again for the policy `Always`. */
  resync(): void {
    for (const item of this.#items.values()) {
      if (item.image.wanted.pullPolicy === 'Always') item.refresh = true;
      this.#retryIf(item, waitsForChange);
    }
  }

  /** New credentials have come: what failed for want of them is tried again at once. */
  credentialsChanged(): void {
    for (const item of this.#items.values()) this.#retryIf(item, needsCredentials);
    this.#pump();
  }

  /** Allows pulls to start; those that the runtime's absence stopped go on. */
  open(): void {
    this.#open = true;
    for (const item of this.#items.values()) this.#retryIf(item, goesOnAtOnce);
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
    await this.#slots.ended();
  }

  /**
   * Fails every pull for which no new byte came for `timeout` milliseconds. To be called only if progress is known.
   * Registries that do not answer for `silence` milliseconds are not left to hold all slots for so long while other ones
   * could be asked.
   */
  failStalled(timeout: number, silence = silenceMilliseconds): void {
    for (const item of this.#items.values()) {
      const stall = stallOf(item, timeout);
      if (stall) item.cancel?.abort(stall);
    }
    if (this.#slots.isFull(this.#options.limits())) this.#releaseSilent(silence);
  }

  #releaseSilent(silence: number): void {
    const item = findSilentPull([...this.#items.values()], silence);
    if (!item) return;
    this.#slots.leaveAlone(registryOf(item), silence);
    const problem = `${registryOf(item)} has not answered yet, and other registries wait for its place`;
    item.cancel?.abort(new PullFailure('unreachable', problem));
  }

  /**
   * Takes over how far the pulls are. Bytes that cannot be told to be of any one of them may be of each whose size is
   * not known, so that none of those is taken for stalled while they come. They may as well be of somebody else's pull,
   * so they do not keep a silent registry in its slot.
   */
  setProgress({ images, otherBytes }: PullProgress): void {
    if (otherBytes !== this.#otherBytes) {
      for (const item of this.#items.values())
        if (item.image.bytesTotal === null) item.otherByteAt = performance.now();
      this.#otherBytes = otherBytes;
    }
    for (const [name, measured] of images) {
      const item = this.#items.get(name);
      if (item) this.#measure(item, measured);
    }
  }

  #measure(item: QueuedImage, measured: MeasuredPull): void {
    if (measured.awaitsBytes === false) item.lastByteAt = performance.now();
    // The last measure of a pull may come after its end, and is the one that is certain.
    const isLast = item.image.state === 'present' && measured.bytesTotal !== null;
    const change = item.cancel || isLast ? progressed(item.image, measured) : undefined;
    if (!change) return;
    item.lastByteAt = performance.now();
    this.#change(item, change);
  }

  /** Starts all that may start now, and comes back when the next one may. */
  #pump(): void {
    clearTimeout(this.#timer);
    if (!this.#open) return;
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    const items = [...this.#items.values()];
    for (const item of [...items.filter(item => !givesWay(item)), ...items.filter(givesWay)]) {
      const registry = registryOf(item);
      const at = Math.max(pullDueAt(item), this.#slots.registryFreeAt(registry));
      if (at > now) next = Math.min(next, at);
      else if (this.#slots.isFree(registry, this.#options.limits())) this.#start(item);
    }
    if (next < Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.#pump(), next - now);
  }

  #start(item: QueuedImage): void {
    const cancel = new AbortController();
    item.cancel = cancel;
    this.#slots.hold(registryOf(item), this.#pull(item, cancel.signal), () => this.#pump());
  }

  async #pull(item: QueuedImage, signal: AbortSignal): Promise<void> {
    const { admit, pull } = this.#options;
    if (admit && !(await admit())) this.#open = false;
    // What was not admitted, or left the list meanwhile, never began.
    if ((admit && !this.#open) || signal.aborted) {
      item.cancel = undefined;
      return;
    }
    item.startedAt = performance.now();
    this.#change(item, started(item.image));
    const failure = await pull(item.image.wanted, signal).then(
      () => undefined,
      error => failureOf(signal.aborted ? signal.reason : error),
    );
    item.cancel = undefined;
    if (!item.image.listed) return;
    // What was cancelled without a reason has not failed: nothing goes on.
    const isOver = signal.aborted && !(signal.reason instanceof PullFailure);
    if (!failure) this.#succeed(item);
    else if (!isOver) this.#fail(item, failure);
  }

  #succeed(item: QueuedImage): void {
    item.refresh = false;
    item.losses = 0;
    item.pulledAt = performance.now();
    this.#change(item, pulled(item.image, item.pulledAt - item.startedAt));
  }

  #fail(item: QueuedImage, failure: PullFailure): void {
    const { attempts } = item.image;
    const registry = registryOf(item);
    item.losses = failure.kind === 'runtime' ? item.losses + 1 : 0;
    const failures = item.losses > 0 ? item.losses : attempts;
    const { state, delay, registryPause } = planRetry(failure.kind, failures, this.#options.limits().retry);
    if (registryPause > 0) this.#slots.leaveAlone(registry, registryPause);
    const wait = Math.max(delay, this.#slots.registryFreeAt(registry) - performance.now());
    item.retryAt = performance.now() + wait;
    const nextAttemptAt = wait < Number.POSITIVE_INFINITY ? new Date(Date.now() + wait) : null;
    this.#change(item, failed(item.image, failure, { state, nextAttemptAt }));
  }

  #retryIf(item: QueuedImage, applies: (kind: PullFailureKind, losses: number) => boolean): void {
    const { failure } = item.image;
    if (item.cancel || !failure || !applies(failure.kind, item.losses)) return;
    item.retryAt = performance.now();
    this.#change(item, { nextAttemptAt: new Date() });
  }

  #change(item: QueuedImage, change: Partial<ImageState>): void {
    item.image = { ...item.image, ...change };
    this.#options.onChange(item.image);
  }
}

function failureOf(error: unknown): PullFailure {
  return error instanceof PullFailure ? error : new PullFailure('unknown', String(error), error);
}
