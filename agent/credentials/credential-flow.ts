import { dirname, join } from 'node:path';
import { Bell, wait } from '../base/bell.ts';
import { messageOf } from '../base/failure.ts';
import type { Logger } from '../base/log.ts';
import { DirectoryWatch } from '../base/watch.ts';
import { formatDockerConfigText, parseDockerConfigText } from '../docker-config/docker-config-text.ts';
import { type PullConfigs, type PullKeyring, readPullKeyring } from '../docker-config/pull-keyring.ts';
import { lostRecord } from './clean-targets.ts';
import { findDockerShadows } from './docker-shadows.ts';
import type { Entry } from './entry.ts';
import { findLifetimeWarnings, nextExpiry } from './expiry.ts';
import { HelperAnswers } from './helper-answers.ts';
import { findHiddenFiles } from './hidden-files.ts';
import { Ownership } from './ownership.ts';
import { planEntries } from './planned-entry.ts';
import { recoverSources } from './recover.ts';
import { readSecretVolumes } from './secret-volume.ts';
import { combineSources, type EntryStanding, nextSources, type Source } from './sources.ts';
import { formOf, readerOf } from './target-kind.ts';
import { type TargetState, Targets } from './targets.ts';
import { findUselessKeys } from './useless-keys.ts';
import type { Warning } from './warning.ts';

/** What the credential flow works on and whom it tells. */
export type CredentialFlowOptions = {
  /** The directory with the mounted Secrets. */
  readonly secrets: string;
  /** The directory with the credential helper programs. */
  readonly helpers: string;
  /** The node's root as mounted here. */
  readonly hostRoot: string;
  /** The state directory as mounted here. */
  readonly stateDirectory: string;
  /** What the config says now; undefined while none is known: then nothing is done. */
  readonly config: () => CredentialConfig | undefined;
  readonly report: (state: CredentialState) => void;
  readonly log: Logger;
  /** How often everything is looked at without a hint, in milliseconds; makes good for lost file events. */
  readonly lookEvery?: number;
};

/** The part of the config that matters for credentials. */
export type CredentialConfig = {
  /** The paths on the node that should hold the credentials. */
  readonly targets: readonly string[];
  /** How often a credential of a helper that tells no end is asked for again, in milliseconds. */
  readonly helperRefresh: number;
  /** How long a contested target is left alone, in milliseconds. */
  readonly resync: number;
};

/** Everything about credentials as of the last look. */
export type CredentialState = {
  readonly sources: readonly Source[];
  /** Every entry of every source. */
  readonly entries: readonly EntryStanding[];
  readonly targets: readonly TargetState[];
  /** What keeps the look from being complete, beyond a single source or target. */
  readonly problems: readonly string[];
  /** Registries that several sources claim, and who won. */
  readonly conflicts: readonly string[];
  readonly warnings: readonly Warning[];
  /** The credentials for our own pulls, as the kubelet would choose them; another object only if they changed. */
  readonly keyring: PullKeyring;
};

/** The pause after a write, in milliseconds. */
const writePause = 50;

/** The flow from mounted Secrets to docker config files: looks, writes what is missing, and waits for the next hint. */
export class CredentialFlow {
  readonly #options: CredentialFlowOptions;
  readonly #bell = new Bell();
  readonly #helpers: HelperAnswers;
  #targets: Targets | undefined;
  #sources: readonly Source[] = [];
  #keyring: { readonly entries: string; readonly keyring: PullKeyring } | undefined;
  #nextExpiry: Date | null = null;

  constructor(options: CredentialFlowOptions) {
    this.#options = options;
    this.#helpers = new HelperAnswers({
      directory: options.helpers,
      refresh: () => options.config()?.helperRefresh ?? Number.POSITIVE_INFINITY,
      onAnswer: () => this.#bell.ring(),
    });
  }

  /** To be called when something outside of the watched directories changed, such as the list of targets. */
  lookAgain(): void {
    this.#bell.ring();
  }

  /** Runs until `signal` aborts; a write that is under way is finished first. */
  async run(signal: AbortSignal): Promise<void> {
    const { secrets, log } = this.#options;
    const onHint = () => this.#bell.ring();
    const onError = (error: unknown) =>
      log.warn(`watching files failed, changes are found by the periodic look alone: ${messageOf(error)}`);
    const sourceWatch = new DirectoryWatch({ depth: 1, onHint, onError });
    const targetWatch = new DirectoryWatch({
      depth: 0,
      ignored: path => !this.#watchedFiles().includes(path),
      onHint,
      onError,
    });
    try {
      while (!signal.aborted) {
        await sourceWatch.follow([secrets]);
        const config = this.#options.config();
        const state = config && (await this.#look(config, signal));
        if (state) this.#options.report(state);
        // After the look, because that may have made the directories.
        await targetWatch.follow([...new Set(this.#watchedFiles().map(file => dirname(file)))]);
        // Two who repair the same file against each other do it at a pace that a node can bear.
        if (state?.targets.some(({ written }) => written)) await wait(writePause, signal);
        await this.#bell.heard(this.#nextLook(), signal);
      }
    } finally {
      await sourceWatch.close();
      await targetWatch.close();
      await this.#helpers.ended();
    }
  }

  async #look(config: CredentialConfig, signal: AbortSignal): Promise<CredentialState> {
    const problems: string[] = [];
    const targets = await this.#loadTargets(problems);
    const volumes = await readSecretVolumes(this.#options.secrets);
    if (!volumes.ok) problems.push(volumes.problem);
    this.#sources = nextSources(this.#sources, volumes);
    this.#helpers.follow(this.#sources, signal);
    // With the answers, so that a later look knows what was in force.
    this.#sources = this.#sources.map(source => this.#helpers.complete(source));
    const sources = this.#sources;

    const now = new Date();
    const { entries, standings, conflicts } = combineSources(sources, now);
    this.#nextExpiry = nextExpiry(entries, now);
    const states = targets ? await targets.reconcile(config.targets, entries, signal) : [];
    return {
      sources,
      entries: standings,
      targets: states,
      problems,
      conflicts,
      warnings: await this.#findWarnings(config, sources, entries, states, now),
      keyring: this.#keyringOf(pullConfigs(states, entries)),
    };
  }

  async #findWarnings(
    { targets }: CredentialConfig,
    sources: readonly Source[],
    entries: readonly Entry[],
    states: readonly TargetState[],
    now: Date,
  ): Promise<readonly Warning[]> {
    const lost = this.#targets?.unreadableRecord;
    const written = states.filter(({ state, text }) => state === 'current' && text !== undefined);
    const dockers = written.filter(({ path }) => readerOf(path) === 'docker');
    const registries = entries.map(({ registry }) => registry);
    return [
      ...(lost ? [{ about: 'lost record', text: `${lost}: ${lostRecord}` }] : []),
      ...findLifetimeWarnings(
        sources.flatMap(source => source.entries),
        now,
      ),
      ...findUselessKeys(entries),
      ...dockers.flatMap(({ path, text = '' }) => {
        const ours = planEntries(entries, path).map(({ registry }) => registry);
        return findDockerShadows({ path, text, registries: ours });
      }),
      ...(written.length === 0 ? [] : await findHiddenFiles(this.#options.hostRoot, targets, registries)),
    ];
  }

  /** The same object as long as the entries are the same, so that new credentials can be told from a new look. */
  #keyringOf(configs: PullConfigs): PullKeyring {
    const entriesOf = (text = '{}') => [...(parseDockerConfigText(text)?.entries ?? [])].sort();
    const entries = JSON.stringify([entriesOf(configs.kubelet), entriesOf(configs.docker)]);
    if (this.#keyring?.entries !== entries) this.#keyring = { entries, keyring: readPullKeyring(configs) };
    return this.#keyring.keyring;
  }

  /** Without the record nothing is written: what is ours could not be told from what is theirs. */
  async #loadTargets(problems: string[]): Promise<Targets | undefined> {
    const { hostRoot, stateDirectory, config } = this.#options;
    try {
      if (this.#targets === undefined) {
        const ownership = await Ownership.load(stateDirectory);
        this.#sources = await recoverSources(ownership, hostRoot);
        const resync = () => config()?.resync ?? 0;
        this.#targets = new Targets({ hostRoot, stateDirectory, ownership, resync });
      }
    } catch (error) {
      problems.push(messageOf(error));
    }
    return this.#targets;
  }

  #nextLook(): number {
    const { lookEvery = 10_000 } = this.#options;
    const expiry = this.#nextExpiry ? this.#nextExpiry.getTime() - Date.now() : Number.POSITIVE_INFINITY;
    return Math.max(0, Math.min(lookEvery, this.#targets?.nextLook ?? lookEvery, expiry));
  }

  #watchedFiles(): readonly string[] {
    const paths = this.#options.config()?.targets ?? [];
    return paths
      .filter(path => this.#targets?.isWatched(path) ?? true)
      .map(path => join(this.#options.hostRoot, path));
  }
}

/** The docker configs that decide over our own pulls; where one cannot be read, our entries alone. */
function pullConfigs(targets: readonly TargetState[], entries: readonly Entry[]): PullConfigs {
  const configs = targets.filter(({ path }) => formOf(path) === 'dockerconfigjson');
  const [kubelets] = configs.filter(({ path }) => readerOf(path) === 'kubelet');
  const [dockers] = configs.filter(({ path }) => readerOf(path) === 'docker');
  return {
    kubelet: (kubelets ?? dockers)?.text ?? ourText(entries, '/config.json'),
    docker: dockers?.text ?? ourText(entries, '/root/.docker/config.json'),
  };
}

function ourText(entries: readonly Entry[], path: string): string {
  const values = planEntries(entries, path).map(({ registry, value }) => [registry, value] as const);
  return formatDockerConfigText({ others: new Map(), entries: new Map(values) });
}
