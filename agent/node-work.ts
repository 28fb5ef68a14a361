import { messageOf } from './base/failure.ts';
import type { Logger } from './base/log.ts';
import { type ConfigState, followConfig } from './config-file.ts';
import { CredentialFlow, type CredentialState } from './credentials/credential-flow.ts';
import { ImageFlow } from './images/image-flow.ts';
import { imageArchitecture } from './images/wanted-images.ts';
import type { Settings } from './settings.ts';
import type { Board } from './status/board.ts';
import { Journal } from './status/journal.ts';
import type { Metrics } from './status/metrics.ts';
import type { Status } from './status/status.ts';

/** What the work on one node is done with. */
export type NodeWorkOptions = {
  readonly settings: Settings;
  /** The state directory as mounted here. */
  readonly stateDirectory: string;
  readonly nodeName: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** How the node stands, for saying when it becomes ready. */
  readonly status: () => Status;
};

/** The work on one node: the config, and the two flows that it and the Secrets drive, side by side. */
export class NodeWork {
  readonly #options: NodeWorkOptions;
  readonly #journal: Journal;
  readonly #credentialFlow: CredentialFlow;
  readonly #imageFlow: ImageFlow;
  #config: ConfigState | undefined;
  #credentials: CredentialState | undefined;
  #readinessDue = false;

  constructor(options: NodeWorkOptions) {
    const { settings, stateDirectory, nodeName, log, metrics } = options;
    this.#options = options;
    this.#journal = new Journal(log, metrics);
    this.#imageFlow = new ImageFlow({
      runtime: settings.runtime,
      hostRoot: settings['host-root'],
      node: { arch: imageArchitecture(process.arch), os: process.platform, nodeName },
      log: log.child({ component: 'images' }),
      onImage: image => {
        this.#journal.image(image);
        this.#tellReadiness();
      },
    });
    this.#credentialFlow = new CredentialFlow({
      secrets: settings.secrets,
      helpers: settings.helpers,
      hostRoot: settings['host-root'],
      stateDirectory,
      config: () => this.#credentialConfig(),
      log: log.child({ component: 'credentials' }),
      report: state => this.#onCredentials(state),
    });
  }

  /** How the config, the credentials and the images stand. */
  get board(): Pick<Board, 'config' | 'credentials' | 'images'> {
    return { config: this.#config, credentials: this.#credentials, images: this.#imageFlow.state };
  }

  /** Runs until `signal` aborts; a write that is under way is finished first, and every pull is cancelled. */
  async run(signal: AbortSignal): Promise<void> {
    const { settings, log } = this.#options;
    const report = (state: ConfigState) => this.#onConfig(state);
    await allOrNothing(signal, [
      running => followConfig({ file: settings.config, report, log }, running),
      running => this.#credentialFlow.run(running),
      running => this.#imageFlow.run(running),
    ]);
  }

  #credentialConfig() {
    const config = this.#config?.config;
    return config && { ...config.credentials, resync: config.pulls.resync };
  }

  #onConfig(state: ConfigState): void {
    this.#config = state;
    this.#journal.config(state);
    if (state.config) this.#imageFlow.setConfig(state.config);
    this.#journal.imageList(this.#imageFlow.state);
    this.#credentialFlow.lookAgain();
  }

  #onCredentials(state: CredentialState): void {
    this.#credentials = state;
    this.#journal.credentials(state);
    this.#imageFlow.setKeyring(state.keyring);
    this.#tellReadiness();
  }

  /** Once for all images that change in one go: the whole status is made for it. */
  #tellReadiness(): void {
    if (this.#readinessDue) return;
    this.#readinessDue = true;
    setImmediate(() => {
      this.#readinessDue = false;
      this.#journal.readiness(this.#options.status());
    });
  }
}

/** Runs all parts until `signal` aborts; a part that fails ends the others, and its error is thrown after they ended. */
async function allOrNothing(
  signal: AbortSignal,
  parts: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const failed = new AbortController();
  const running = AbortSignal.any([signal, failed.signal]);
  const results = await Promise.allSettled(
    parts.map(async part => {
      try {
        await part(running);
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    }),
  );
  const reasons = results.flatMap(result => (result.status === 'rejected' ? [result.reason] : []));
  if (reasons.length > 0) throw new Error(reasons.map(messageOf).join('; '), { cause: reasons[0] });
}
