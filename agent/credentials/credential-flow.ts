import { basename, dirname, join } from 'node:path';
import { Bell, wait } from '../base/bell.ts';
import { messageOf } from '../base/failure.ts';
import type { Logger } from '../base/log.ts';
import { DirectoryWatch } from '../base/watch.ts';
import { formatDockerConfigText, parseDockerConfigText } from './docker-config-text.ts';
import { type Entry, entryValue } from './entry.ts';
import { type Keyring, readKeyring } from './keyring.ts';
import { Ownership } from './ownership.ts';
import { recoverSources } from './recover.ts';
import { readSecretVolumes } from './secret-volume.ts';
import { combineSources, nextSources, type Source } from './sources.ts';
import { changedAt, reconcileTarget, type TargetOutcome } from './target.ts';

/** What the credential flow works on and whom it tells. */
export type CredentialFlowOptions = {
  /** The directory with the mounted Secrets. */
  readonly secrets: string;
  /** The node's root as mounted here. */
  readonly hostRoot: string;
  /** The state directory as mounted here. */
  readonly stateDirectory: string;
  /** The paths on the node that should hold the credentials now; undefined while no config is known: then nothing is done. */
  readonly targets: () => readonly string[] | undefined;
  readonly report: (state: CredentialState) => void;
  readonly log: Logger;
  /** How often everything is looked at without a hint, in milliseconds; makes good for lost file events. */
  readonly lookEvery?: number;
};

/** A target as it stands, with the times that matter to its readers. */
export type TargetState = TargetOutcome & {
  readonly writtenAt: Date | null;
  /** When the kubelet sees the last change at the latest; null if this is not a file that the kubelet reads. */
  readonly kubeletSeesBy: Date | null;
};

/** Everything about credentials as of the last look. */
export type CredentialState = {
  readonly sources: readonly Source[];
  readonly entries: readonly Entry[];
  readonly targets: readonly TargetState[];
  /** What keeps the look from being complete, beyond a single source or target. */
  readonly problems: readonly string[];
  /** Registries that several sources claim, and who won. */
  readonly conflicts: readonly string[];
  /** The credentials for our own pulls, as the kubelet would choose them; another object only if they changed. */
  readonly keyring: Keyring;
};

/** The kubelet caches what it read, also that there was no file, for this long (credentialprovider/provider.go). */
const kubeletCacheMilliseconds = 5 * 60_000;

/** The pause after a write, in milliseconds. */
const writePause = 50;

/** A file that could not be written is looked at again this often, in milliseconds. */
const retryEvery = 500;

/** The flow from mounted Secrets to docker config files: looks, writes what is missing, and waits for the next hint. */
export class CredentialFlow {
  readonly #options: CredentialFlowOptions;
  readonly #bell = new Bell();
  #ownership: Ownership | undefined;
  #sources: readonly Source[] = [];
  #keyring: { readonly entries: string; readonly keyring: Keyring } | undefined;

  constructor(options: CredentialFlowOptions) {
    this.#options = options;
  }

  /** To be called when something outside of the watched directories changed, such as the list of targets. */
  lookAgain(): void {
    this.#bell.ring();
  }

  /** Runs until `signal` aborts; a write that is under way is finished first. */
  async run(signal: AbortSignal): Promise<void> {
    const { secrets, log, lookEvery = 10_000 } = this.#options;
    const onHint = () => this.#bell.ring();
    const onError = (error: unknown) =>
      log.warn(`watching files failed, changes are found by the periodic look alone: ${messageOf(error)}`);
    const sourceWatch = new DirectoryWatch({ depth: 1, onHint, onError });
    const targetWatch = new DirectoryWatch({
      depth: 0,
      ignored: path => !this.#isTarget(path),
      onHint,
      onError,
    });
    try {
      while (!signal.aborted) {
        await sourceWatch.follow([secrets]);
        const paths = this.#options.targets();
        const state = paths && (await this.#look(paths, signal));
        if (state) this.#options.report(state);
        // After the look, because that may have made the directories.
        await targetWatch.follow([...new Set(this.#targetFiles().map(file => dirname(file)))]);
        // Two who repair the same file against each other do it at a pace that a node can bear.
        if (state?.targets.some(({ written }) => written)) await wait(writePause, signal);
        const failing = state?.targets.some(target => target.state === 'failed') ?? false;
        await this.#bell.heard(failing ? Math.min(retryEvery, lookEvery) : lookEvery, signal);
      }
    } finally {
      await sourceWatch.close();
      await targetWatch.close();
    }
  }

  async #look(paths: readonly string[], signal: AbortSignal): Promise<CredentialState> {
    const problems: string[] = [];
    const ownership = await this.#loadOwnership(problems);
    const volumes = await readSecretVolumes(this.#options.secrets);
    if (!volumes.ok) problems.push(volumes.problem);
    this.#sources = nextSources(this.#sources, volumes);
    const { entries, conflicts } = combineSources(this.#sources);

    const targets = ownership ? await this.#reconcile(ownership, paths, entries, signal) : [];
    return {
      sources: this.#sources,
      entries,
      targets,
      problems,
      conflicts,
      keyring: this.#keyringOf(pullText(targets, entries)),
    };
  }

  /** The same object as long as the entries are the same, so that new credentials can be told from a new look. */
  #keyringOf(text: string): Keyring {
    const entries = JSON.stringify([...(parseDockerConfigText(text)?.entries ?? [])].sort());
    if (this.#keyring?.entries !== entries) this.#keyring = { entries, keyring: readKeyring(text) };
    return this.#keyring.keyring;
  }

  /** Without the record nothing is written: what is ours could not be told from what is theirs. */
  async #loadOwnership(problems: string[]): Promise<Ownership | undefined> {
    try {
      if (this.#ownership === undefined) {
        const ownership = await Ownership.load(this.#options.stateDirectory);
        this.#sources = await recoverSources(ownership, this.#options.hostRoot);
        this.#ownership = ownership;
      }
    } catch (error) {
      problems.push(messageOf(error));
    }
    return this.#ownership;
  }

  async #reconcile(
    ownership: Ownership,
    wanted: readonly string[],
    entries: readonly Entry[],
    signal: AbortSignal,
  ): Promise<readonly TargetState[]> {
    const { hostRoot, stateDirectory } = this.#options;
    const states: TargetState[] = [];
    for (const path of wanted) {
      // On the way out the file that is being written is finished, and no other is begun.
      if (signal.aborted) return states;
      const outcome = await reconcileTarget({ path, hostRoot, stateDirectory, ownership }, entries);
      states.push(await withTimes(outcome, join(hostRoot, path)));
    }
    // Targets that left the config are left as they were found; one is shown only while that does not succeed.
    for (const path of ownership.targets.filter(target => !wanted.includes(target))) {
      const outcome = await reconcileTarget({ path, hostRoot, stateDirectory, ownership }, []);
      if (outcome.state !== 'current') states.push({ ...outcome, writtenAt: null, kubeletSeesBy: null });
    }
    return states;
  }

  #targetFiles(): readonly string[] {
    return (this.#options.targets() ?? []).map(path => join(this.#options.hostRoot, path));
  }

  #isTarget(path: string): boolean {
    return this.#targetFiles().includes(path);
  }
}

async function withTimes(outcome: TargetOutcome, file: string): Promise<TargetState> {
  const writtenAt = outcome.managed > 0 ? ((await changedAt(file)) ?? null) : null;
  const seen =
    writtenAt && readByKubelet(outcome.path) ? writtenAt.getTime() + kubeletCacheMilliseconds : null;
  return { ...outcome, writtenAt, kubeletSeesBy: seen === null ? null : new Date(seen) };
}

/** Docker's own file lies in a directory `.docker`; all others are for a kubelet, whatever its root directory. */
function readByKubelet(path: string): boolean {
  return basename(dirname(path)) !== '.docker';
}

/** The docker config that decides over our own pulls: that of the kubelet; where it cannot be read, our entries alone. */
function pullText(targets: readonly TargetState[], entries: readonly Entry[]): string {
  const target = targets.find(({ path }) => readByKubelet(path)) ?? targets[0];
  const values = entries.map(entry => [entry.registry, JSON.stringify(entryValue(entry))] as const);
  return target?.text ?? formatDockerConfigText({ others: new Map(), entries: new Map(values) });
}
