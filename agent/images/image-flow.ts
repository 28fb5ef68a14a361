import { aborted, Bell, wait } from '../base/bell.ts';
import type { Logger } from '../base/log.ts';
import { type Config, defaultConfig } from '../config.ts';
import type { PullKeyring } from '../docker-config/pull-keyring.ts';
import { PullFailure } from '../runtimes/pull-failure.ts';
import type { PresentImages, Runtime } from '../runtimes/runtime.ts';
import { followDeletions } from './deletions.ts';
import { DiskGuard } from './disk-guard.ts';
import type { ImageState } from './image-state.ts';
import type { ImagesState } from './images-state.ts';
import { IoGuard } from './io-guard.ts';
import type { measureIoPressure } from './io-pressure.ts';
import { PinKeeper } from './pin-keeper.ts';
import { attemptPull } from './pull-attempt.ts';
import { PullMeter } from './pull-meter.ts';
import { PullQueue } from './pull-queue.ts';
import { noRuntime, RuntimeConnection } from './runtime-connection.ts';
import { type ImageList, type NodeFacts, planImages, type WantedImage } from './wanted-images.ts';

/** What the image flow works on and whom it tells. */
export type ImageFlowOptions = {
  /** `auto`, `none` or `unix:///path/on/the/node`. */
  readonly runtime: string;
  /** The node's root as mounted here. */
  readonly hostRoot: string;
  readonly node: NodeFacts;
  /** Called with every image that changed. */
  readonly onImage: (image: ImageState) => void;
  readonly log: Logger;
  /** How the I/O pressure of the node is measured, if not by the kernel's word. */
  readonly measureIoPressure?: typeof measureIoPressure;
};

/** After a list that could not be had, the runtime is asked again this much later, in milliseconds. */
const retryMilliseconds = 1_000;

/** A pin that failed is tried again after this time. */
const pinMilliseconds = 30_000;

/** The flow from the image list to images on the node: looks once, pulls what is missing, and waits for news. */
export class ImageFlow {
  readonly #options: ImageFlowOptions;
  readonly #queue: PullQueue;
  readonly #disk: DiskGuard;
  readonly #io: IoGuard;
  readonly #meter: PullMeter;
  readonly #connection: RuntimeConnection;
  readonly #pins = new PinKeeper();
  readonly #news = new Bell();
  #config = defaultConfig;
  /** undefined until the secrets were read: to pull without them would only fail. */
  #keyring: PullKeyring | undefined;
  #list: ImageList = { wanted: [], unusable: [], warnings: [] };
  #isConfigured = false;
  /** No pull starts before this time, by `performance.now()`; undefined until there is a first list of images. */
  #startAt: number | undefined;
  /** When the last resync was, by `performance.now()`. */
  #resyncedAt = Number.NEGATIVE_INFINITY;
  /** Resyncs are jittered, so that the nodes of a fleet do not ask their registries in step. */
  #resyncJitter = 1;

  constructor(options: ImageFlowOptions) {
    this.#options = options;
    this.#connection = new RuntimeConnection(options);
    // Only who waits for room or calm makes it worth to look for them before the next look at everything.
    const watch = () => this.#queue.hasDue && this.#meter.wake();
    const onLow = (reason: PullFailure) => {
      this.#queue.close(reason);
      watch();
    };
    this.#disk = new DiskGuard(options.hostRoot, onLow, () => this.#news.ring());
    const onHigh = () => {
      this.#queue.close();
      watch();
    };
    this.#io = new IoGuard(onHigh, () => this.#news.ring(), options.measureIoPressure);
    this.#queue = new PullQueue({
      admit: () => this.#mayPull(),
      pull: (image, signal) => this.#pull(image, signal),
      limits: () => this.#config.pulls,
      onChange: image => {
        if (image.state === 'pulling') this.#meter.wake();
        options.onImage(image);
      },
    });
    this.#meter = new PullMeter({
      queue: this.#queue,
      disk: this.#disk,
      io: this.#io,
      config: () => this.#config,
      log: options.log,
    });
  }

  get state(): ImagesState {
    return {
      runtime: this.#options.runtime === 'none' ? noRuntime : this.#connection.state,
      images: this.#queue.images,
      unusable: this.#list.unusable,
      listWarnings: this.#list.warnings,
      disk: this.#disk.space,
      diskProblem: this.#disk.problem,
      ioPressure: this.#io.high,
      ioProblem: this.#io.problem,
      pinned: this.#pins.pinned,
      pinProblem: this.#pins.problem,
      pinsUntold: this.#pins.isUntold,
    };
  }

  /** Takes over a config; its list and limits are in force from now on. */
  setConfig(config: Config): void {
    this.#config = config;
    this.#isConfigured = true;
    if (config.images.length > 0)
      this.#startAt ??= performance.now() + Math.random() * config.pulls.startJitter;
    this.#list = planImages(config.images, this.#options.node);
    this.#queue.setList(this.#list.wanted);
    this.#news.ring();
  }

  /** Takes over new credentials. Pulls that failed for want of them go again at once. */
  setKeyring(keyring: PullKeyring): void {
    if (keyring === this.#keyring) return;
    if (this.#keyring === undefined) this.#news.ring();
    this.#keyring = keyring;
    this.#queue.credentialsChanged();
    this.#meter.wake();
  }

  /** Runs until `signal` aborts; then every pull is cancelled and has ended when this resolves. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#options.runtime === 'none') await aborted(signal);
    while (!signal.aborted) {
      await this.#connection.use((runtime, connected) => this.#workWith(runtime, connected, signal), signal);
      await this.#news.heard(this.#connection.retryIn(), signal);
    }
    await this.#queue.stop();
  }

  /** Works with one connection while it lasts. */
  async #workWith(runtime: Runtime, connected: AbortSignal, signal: AbortSignal): Promise<void> {
    this.#disk.directory = await runtime.imageDirectory(connected);
    this.#connection.tellSuccess(runtime);
    this.#pins.forget();
    const ended = new AbortController();
    const working = AbortSignal.any([connected, ended.signal]);
    const parts = [
      this.#meter.run(runtime, working),
      this.#lookAround(runtime, working),
      followDeletions(runtime, () => this.#news.ring(), this.#options.log, working),
    ];
    try {
      await Promise.all(parts);
    } finally {
      // 1. On the way out the pulls are cancelled first, so that the lost connection is not taken for their failure.
      if (signal.aborted) await this.#queue.stop();
      // 2. No pull starts on this connection any more; those under way fail, and go on with the next one.
      this.#queue.close(new PullFailure('runtime', 'the connection to the container runtime was lost'));
      // 3. Nothing works with this connection when the next one is made.
      ended.abort();
      runtime.close();
      await Promise.allSettled(parts);
    }
  }

  async #lookAround(runtime: Runtime, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#resyncIn() <= 0) {
        this.#queue.resync();
        this.#resyncedAt = performance.now();
        this.#resyncJitter = 0.9 + 0.2 * Math.random();
      }
      const asOf = performance.now();
      const present = await this.#listPresent(runtime, signal);
      if (!present) continue;
      this.#queue.setPresent(present, asOf);
      const startsIn = (this.#startAt ?? Number.POSITIVE_INFINITY) - performance.now();
      if ((await this.#mayPull()) && startsIn <= 0 && this.#keyring) this.#queue.open();
      // Before the first good config nothing is known of what is to be pinned, and so nothing is let go.
      if (this.#isConfigured) await this.#pins.keep(runtime.pins, this.#list.wanted, present, signal);
      const waits = [
        startsIn > 0 ? startsIn : Infinity,
        this.#pins.problem === null ? Infinity : pinMilliseconds,
      ];
      await this.#news.heard(Math.min(this.#resyncIn(), ...waits), signal);
    }
  }

  /**
   * What is on the node; undefined, after a while, if the runtime does not tell now. Pulls that are under way go on all
   * the same: it may only be busy with them.
   */
  async #listPresent(runtime: Runtime, signal: AbortSignal): Promise<PresentImages | undefined> {
    try {
      const present = await runtime.listImages(signal);
      this.#connection.tellSuccess(runtime);
      return present;
    } catch (error) {
      await wait(retryMilliseconds, signal);
      // A connection that was lost meanwhile is told by who waits for that.
      if (!signal.aborted) this.#connection.tellFailure(error);
      return undefined;
    }
  }

  /** Milliseconds until the next resync is due. */
  #resyncIn(): number {
    return this.#resyncedAt + this.#config.pulls.resync * this.#resyncJitter - performance.now();
  }

  async #mayPull(): Promise<boolean> {
    await this.#disk.look(this.#config.disk.keepFree);
    await this.#io.look(this.#config.pulls.maxIoPressure);
    return !this.#disk.isLow && !this.#io.high;
  }

  async #pull(image: WantedImage, signal: AbortSignal): Promise<void> {
    const { runtime } = this.#connection;
    if (!runtime) throw new PullFailure('runtime', 'there is no connection to the container runtime');
    const { timeout } = this.#config.pulls;
    const keyring = () => this.#keyring;
    await attemptPull({ runtime, reference: image.reference, keyring, timeout }, signal);
    await this.#meter.ended(image);
    // What is there now has to be looked up for its pin.
    const now = this.#list.wanted.find(({ reference }) => reference.name === image.reference.name);
    if (now?.pin) this.#news.ring();
  }
}
