import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { backoffLimit } from '../base/backoff.ts';
import { formatDuration } from '../base/duration.ts';
import { Contest } from './contest.ts';
import type { Entry } from './entry.ts';
import type { Ownership } from './ownership.ts';
import { planEntries } from './planned-entry.ts';
import { inspectTarget, reconcileTarget } from './target.ts';
import { changedAt } from './target-file.ts';
import { readerOf } from './target-kind.ts';
import { nothingFound, type TargetOutcome, type TargetPlace } from './target-look.ts';

/** A target as it stands, with the times that matter to its readers. */
export type TargetState = TargetOutcome & {
  readonly writtenAt: Date | null;
  /** When the kubelet sees the last change at the latest; null if this is not a file that the kubelet reads. */
  readonly kubeletSeesBy: Date | null;
};

/** What all targets have in common. */
export type TargetsOptions = {
  readonly hostRoot: string;
  readonly stateDirectory: string;
  readonly ownership: Ownership;
  /** How long a contested target is left alone, in milliseconds. */
  readonly resync: () => number;
};

/** The kubelet caches what it read, also that there was no file, for this long (credentialprovider/provider.go). */
const kubeletCacheMilliseconds = 5 * 60_000;

/** The first wait after a failed write and the longest one, in milliseconds. */
const retry = { initial: 500, max: 10_000 };

/** What is remembered of one target from look to look. */
type Memory = {
  readonly contest: Contest;
  /** What was planned for it when it was last written to. */
  plan: string;
  failures: number;
};

/** The docker configs on the node, brought to what they should say at every look. */
export class Targets {
  readonly #options: TargetsOptions;
  readonly #memories = new Map<string, Memory>();

  constructor(options: TargetsOptions) {
    this.#options = options;
  }

  /**
   * Brings every target of `paths` to what `entries` say, and takes ours out of those that left the config; of these
   * only the ones where that did not succeed are in the answer. Stops between two files when `signal` aborts.
   */
  async reconcile(
    paths: readonly string[],
    entries: readonly Entry[],
    signal: AbortSignal,
  ): Promise<readonly TargetState[]> {
    const states: TargetState[] = [];
    const departed: TargetState[] = [];
    // First, because it may be the same file under another name.
    for (const path of this.#options.ownership.targets.filter(target => !paths.includes(target))) {
      if (signal.aborted) return states;
      const outcome = await reconcileTarget(this.#place(path), []);
      if (outcome.state !== 'current') departed.push({ ...outcome, writtenAt: null, kubeletSeesBy: null });
    }
    const places = new Map<string, string>();
    for (const path of paths) {
      // On the way out the file that is being written is finished, and no other is begun.
      if (signal.aborted) return states;
      const place = await realPlace(join(this.#options.hostRoot, path));
      const same = places.get(place);
      places.set(place, same ?? path);
      const outcome = same ? sameFile(path, same) : await this.#reconcileOne(path, entries);
      states.push(await this.#withTimes(outcome));
    }
    states.push(...departed);
    for (const path of this.#memories.keys()) if (!paths.includes(path)) this.#memories.delete(path);
    return states;
  }

  /** Where a record lies that could not be understood; null if there is none. */
  get unreadableRecord(): string | null {
    return this.#options.ownership.unreadable;
  }

  /** Whether changes of this target are worth a look at once: not while it is left to somebody else. */
  isWatched(path: string): boolean {
    return !this.#memories.get(path)?.contest.isPaused(performance.now());
  }

  /** When to look again at the latest, in milliseconds: soon after a failed write, then more and more rarely. */
  get nextLook(): number {
    const failures = [...this.#memories.values()].map(memory => memory.failures).filter(count => count > 0);
    return failures.length === 0 ? Number.POSITIVE_INFINITY : backoffLimit(retry, Math.min(...failures));
  }

  async #reconcileOne(path: string, entries: readonly Entry[]): Promise<TargetOutcome> {
    const memory = this.#memoryOf(path);
    const plan = JSON.stringify(planEntries(entries, path));
    const isNews = plan !== memory.plan;
    // What is new is tried at once, and may lose again.
    if (!isNews && memory.contest.isPaused(performance.now())) return this.#inspectContested(path, entries);
    const rewrite = memory.failures > 0;
    const outcome = await reconcileTarget({ ...this.#place(path), rewrite }, entries);
    if (outcome.state === 'current') memory.plan = plan;
    memory.failures = outcome.state === 'failed' ? memory.failures + 1 : 0;
    if (outcome.drifted && !isNews) memory.contest.noteRepair(performance.now(), this.#options.resync());
    return outcome;
  }

  /** Says who has won so far; the file is read and not touched. */
  async #inspectContested(path: string, entries: readonly Entry[]): Promise<TargetOutcome> {
    const { contest } = this.#memoryOf(path);
    const outcome = await inspectTarget(this.#place(path), entries);
    const won = outcome.state === 'current' ? 'our entries are in it now' : 'their version is in it now';
    const again = formatDuration(contest.pauseLeft(performance.now()));
    const problem = `${path} is rewritten by somebody else over and over (${contest.lost} times so far): ${won}; find out who does it (auditctl -w ${path} -p wa) and stop it; it is tried again in ${again}`;
    return {
      ...outcome,
      managed: outcome.state === 'current' ? outcome.managed : 0,
      state: 'contested',
      problem,
    };
  }

  #memoryOf(path: string): Memory {
    const known = this.#memories.get(path);
    if (known) return known;
    const memory = { contest: new Contest(), plan: '', failures: 0 };
    this.#memories.set(path, memory);
    return memory;
  }

  #place(path: string): TargetPlace {
    const { hostRoot, stateDirectory, ownership } = this.#options;
    return { path, hostRoot, stateDirectory, ownership };
  }

  async #withTimes(outcome: TargetOutcome): Promise<TargetState> {
    const file = join(this.#options.hostRoot, outcome.path);
    const writtenAt = outcome.managed > 0 ? ((await changedAt(file)) ?? null) : null;
    const isKubelets = readerOf(outcome.path) === 'kubelet';
    const seen = writtenAt && isKubelets ? new Date(writtenAt.getTime() + kubeletCacheMilliseconds) : null;
    return { ...outcome, writtenAt, kubeletSeesBy: seen };
  }
}

/** Where a file really is, whether or not it is there: links on the way to it count, a link in its place does not. */
async function realPlace(file: string): Promise<string> {
  const directory = await realpath(dirname(file)).catch(() => dirname(file));
  return join(directory, basename(file));
}

/** Two names of one file would each take the entries of the other for somebody else's. */
function sameFile(path: string, other: string): TargetOutcome {
  const problem = `it is the same file as ${other}, by a link on the way; take one of them out of credentials.targets`;
  return { ...nothingFound(path), state: 'refused', problem };
}
