import { Bell, wait } from '../base/bell.ts';
import { Failure, messageOf } from '../base/failure.ts';
import type { Logger } from '../base/log.ts';
import { type Config, defaultConfig } from '../config.ts';
import type { Keyring } from '../credentials/keyring.ts';
import { findRuntime } from '../runtimes/find-runtime.ts';
import { PullFailure } from '../runtimes/pull-failure.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import type { DiskSpace } from './disk.ts';
import { DiskGuard } from './disk-guard.ts';
import type { ImageState } from './image-state.ts';
import { attemptPull } from './pull-attempt.ts';
import { PullQueue } from './pull-queue.ts';
import {
  type ImageList,
  type NodeFacts,
  planImages,
  type UnusableImage,
  type WantedImage,
} from './wanted-images.ts';

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
};

/** The runtime as far as it is known. */
export type RuntimeState = {
  readonly state: 'connected' | 'unavailable' | 'none';
  readonly name: string | null;
  readonly version: string | null;
  readonly endpoint: string | null;
  /** Why it is unavailable. */
  readonly problem: string | null;
};

/** Everything about images as of now. */
export type ImagesState = {
  readonly runtime: RuntimeState;
  /** In the order in which they are pulled. */
  readonly images: readonly ImageState[];
  readonly unusable: readonly UnusableImage[];
  readonly disk: DiskSpace | null;
  /** Why the room on the disk is not known. */
  readonly diskProblem: string | null;
};

/** While nothing answers, a runtime is looked for this often; to find a socket missing costs next to nothing. */
const reconnectMilliseconds = 1_000;

/** How often the progress of pulls and the disk are looked at while something is pulled. */
const meterMilliseconds = 1_000;

/** The flow from the image list to images on the node: looks once, pulls what is missing, and waits for news. */
export class ImageFlow {
  readonly #options: ImageFlowOptions;
  readonly #queue: PullQueue;
  readonly #disk: DiskGuard;
  readonly #news = new Bell();
  readonly #meterWanted = new Bell();
  #config = defaultConfig;
  /** undefined until the secrets were read: to pull without them would only fail. */
  #keyring: Keyring | undefined;
  #runtime: Runtime | undefined;
  #runtimeState: RuntimeState = unavailable('it was not looked for yet');
  #list: ImageList = { wanted: [], unusable: [] };
  /** No pull starts before this time, in milliseconds since 1970; undefined until the first config is there. */
  #startAt: number | undefined;
  #resyncAt = 0;

  constructor(options: ImageFlowOptions) {
    this.#options = options;
    const onLow = (reason: PullFailure) => {
      this.#queue.close(reason);
      this.#meterWanted.ring();
    };
    this.#disk = new DiskGuard(options.hostRoot, onLow, () => this.#news.ring());
    this.#queue = new PullQueue({
      pull: (image, signal) => this.#pull(image, signal),
      limits: () => this.#config.pulls,
      onChange: image => {
        if (image.state === 'pulling') this.#meterWanted.ring();
        options.onImage(image);
      },
    });
  }

  get state(): ImagesState {
    return {
      runtime: this.#runtimeState,
      images: this.#queue.images,
      unusable: this.#list.unusable,
      disk: this.#disk.space,
      diskProblem: this.#disk.problem,
    };
  }

  /** Takes over a config; its list and limits are in force from now on. */
  setConfig(config: Config): void {
    this.#config = config;
    this.#startAt ??= Date.now() + Math.random() * config.pulls.startJitter;
    this.#list = planImages(config.images, this.#options.node);
    this.#queue.setList(this.#list.wanted);
    this.#resyncAt = 0;
    this.#news.ring();
  }

  /** Takes over new credentials. Pulls that failed for want of them go again at once. */
  setKeyring(keyring: Keyring): void {
    if (keyring === this.#keyring) return;
    if (this.#keyring === undefined) this.#news.ring();
    this.#keyring = keyring;
    this.#queue.credentialsChanged();
  }

  /** Runs until `signal` aborts; then every pull is cancelled and has ended when this resolves. */
  async run(signal: AbortSignal): Promise<void> {
    const { runtime: uri, hostRoot, log } = this.#options;
    if (uri === 'none') this.#runtimeState = { ...unavailable(null), state: 'none' };
    while (!signal.aborted) {
      try {
        if (uri !== 'none') await this.#workWith(await findRuntime(uri, hostRoot, signal), signal);
      } catch (error) {
        if (messageOf(error) !== this.#runtimeState.problem && !signal.aborted) log.warn(messageOf(error));
        this.#runtimeState = unavailable(messageOf(error));
      }
      await this.#news.heard(uri === 'none' ? this.#config.pulls.resync : reconnectMilliseconds, signal);
    }
    await this.#queue.stop();
  }

  /** Works with one connection until it is lost; throws why. */
  async #workWith(runtime: Runtime, signal: AbortSignal): Promise<void> {
    const { name, version, endpoint } = runtime;
    const lost = new AbortController();
    const connected = AbortSignal.any([signal, lost.signal]);
    void runtime.closed.then(() => {
      lost.abort();
      this.#news.ring();
    });
    try {
      this.#disk.directory = await runtime.imageDirectory(connected);
      this.#runtime = runtime;
      this.#runtimeState = { state: 'connected', name, version, endpoint, problem: null };
      this.#options.log.info({ runtime: name, version, endpoint }, 'connected to the container runtime');
      const metering = this.#meter(runtime, connected);
      await this.#lookAround(runtime, connected);
      await metering;
      if (!signal.aborted)
        throw new Failure({ tried: `working with ${endpoint}`, problem: 'the connection was lost' });
    } finally {
      // On the way out the pulls are cancelled first, so that the lost connection is not taken for their failure.
      if (signal.aborted) await this.#queue.stop();
      this.#runtime = undefined;
      this.#queue.close(new PullFailure('runtime', 'the connection to the container runtime was lost'));
      lost.abort();
      runtime.close();
    }
  }

  async #lookAround(runtime: Runtime, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const { resync } = this.#config.pulls;
      const now = Date.now();
      if (now >= this.#resyncAt) {
        this.#queue.resync();
        // Jittered, so that the nodes of a fleet do not ask their registries in step.
        this.#resyncAt = now + resync * (0.9 + 0.2 * Math.random());
      }
      const asOf = Date.now();
      this.#queue.setPresent(await runtime.listImages(signal), asOf);
      await this.#disk.look(this.#config.disk.keepFree);
      const startsIn = (this.#startAt ?? Number.POSITIVE_INFINITY) - Date.now();
      if (startsIn <= 0 && this.#keyring && !this.#disk.isLow) this.#queue.open();
      await this.#news.heard(Math.min(this.#resyncAt - Date.now(), startsIn > 0 ? startsIn : resync), signal);
    }
  }

  /** While something is pulled, or waits for room on the disk: how far it is, whether it stalls, how much room is left. */
  async #meter(runtime: Runtime, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (!this.#queue.busy && !this.#disk.isLow)
        await this.#meterWanted.heard(this.#config.pulls.resync, signal);
      if (this.#queue.busy) await this.#measureProgress(runtime, signal);
      await this.#disk.look(this.#config.disk.keepFree);
      await wait(meterMilliseconds, signal);
    }
  }

  async #measureProgress(runtime: Runtime, signal: AbortSignal): Promise<void> {
    if (!runtime.progress) return;
    const pulls = this.#queue.images.flatMap(({ state, wanted, startedAt }) =>
      state === 'pulling' && startedAt ? [{ ...wanted.reference, startedAt }] : [],
    );
    try {
      this.#queue.setProgress(await runtime.progress(pulls, signal));
    } catch (error) {
      // Progress is for people; a pull does not depend on it.
      this.#options.log.debug(`the progress of pulls cannot be told: ${messageOf(error)}`);
    }
    this.#queue.failStalled(this.#config.pulls.stallTimeout);
  }

  async #pull(image: WantedImage, signal: AbortSignal): Promise<void> {
    const runtime = this.#runtime;
    if (!runtime) throw new PullFailure('runtime', 'there is no connection to the container runtime');
    await this.#disk.look(this.#config.disk.keepFree);
    signal.throwIfAborted();
    const { name, repository } = image.reference;
    const { timeout } = this.#config.pulls;
    for (;;) {
      const keyring = this.#keyring;
      const credentials = keyring?.lookup(repository) ?? [];
      try {
        await attemptPull({ runtime, name, credentials, timeout }, signal);
        // Once more at the end: a quick pull is over before its size was ever asked for.
        await this.#measureProgress(runtime, signal);
        return;
      } catch (error) {
        // Credentials that came while these were being refused are not tried by anybody else.
        const outdated = keyring !== this.#keyring && error instanceof PullFailure && error.kind === 'auth';
        if (!outdated) throw error;
      }
    }
  }
}

function unavailable(problem: string | null): RuntimeState {
  return { state: 'unavailable', name: null, version: null, endpoint: null, problem };
}
