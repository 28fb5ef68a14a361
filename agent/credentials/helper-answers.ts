import { backoffDelay } from '../base/backoff.ts';
import { encodeBasicAuth } from '../docker-config/basic-auth.ts';
import { type Entry, makeEntry } from './entry.ts';
import { askHelper, type HelperAnswer } from './helper-program.ts';
import type { Source } from './sources.ts';

/** What the answers are got with, and whom they are told. */
export type HelperAnswersOptions = {
  /** The directory of the programs. */
  readonly directory: string;
  /** How often a credential that tells no end is asked for again, in milliseconds. */
  readonly refresh: () => number;
  /** Called when a program has answered. */
  readonly onAnswer: () => void;
};

/** How many programs run at once, and how many of one name: one that hangs must not keep the others out. */
const concurrency = { total: 8, perProgram: 2 };

/** The wait after a first failure and the longest one, in milliseconds. */
const retry = { initial: 5_000, max: 5 * 60_000 };

type Question = {
  readonly source: string;
  readonly registry: string;
  readonly suffix: string;
  entry: Entry | undefined;
  problem: string | undefined;
  failures: number;
  isRunning: boolean;
  /** When it was asked last, on a clock that nobody sets; minus infinity: never. */
  askedAt: number;
  /** How long to wait after a failure, in milliseconds. */
  pause: number;
  /** How long the answer was good for when it came, in milliseconds; infinity if it tells no end. */
  life: number;
};

/**
 * The credentials that helper programs give for the registries that sources leave to them. They run beside everything
 * else, so that one that hangs delays nothing; a credential is renewed at half its life, and kept while it is valid if
 * its program fails.
 */
export class HelperAnswers {
  readonly #options: HelperAnswersOptions;
  readonly #questions = new Map<string, Question>();
  readonly #running = new Set<Promise<void>>();

  constructor(options: HelperAnswersOptions) {
    this.#options = options;
  }

  /** Takes up what the sources ask for now, forgets the rest, and starts the programs that are due. */
  follow(sources: readonly Source[], signal: AbortSignal): void {
    const wanted = new Set<string>();
    for (const { name: source, helpers } of sources) {
      for (const { registry, suffix } of helpers) {
        const key = JSON.stringify([source, registry, suffix]);
        wanted.add(key);
        if (this.#questions.has(key)) continue;
        const unasked = { entry: undefined, problem: undefined, failures: 0, isRunning: false };
        const times = { askedAt: Number.NEGATIVE_INFINITY, pause: 0, life: 0 };
        this.#questions.set(key, { source, registry, suffix, ...unasked, ...times });
      }
    }
    for (const key of this.#questions.keys()) if (!wanted.has(key)) this.#questions.delete(key);
    const due = [...this.#questions.values()].filter(question => this.#isDue(question));
    // Who has waited longest goes first, so that all are asked in turn.
    for (const question of due.toSorted((a, b) => a.askedAt - b.askedAt)) {
      if (signal.aborted || this.#running.size >= concurrency.total) return;
      if (this.#countRunning(question.suffix) < concurrency.perProgram) this.#start(question, signal);
    }
  }

  /** The source with what its programs answered, and what is wrong with them. */
  complete(source: Source): Source {
    const questions = [...this.#questions.values()].filter(question => question.source === source.name);
    if (questions.length === 0) return source;
    const answers = new Map(questions.flatMap(({ registry, entry }) => (entry ? [[registry, entry]] : [])));
    const problems = questions.flatMap(({ problem }) => problem ?? []);
    const others = source.entries.filter(({ registry }) => !answers.has(registry));
    return {
      ...source,
      entries: [...others, ...answers.values()],
      problems: [...source.problems, ...problems],
    };
  }

  /** Resolves when no program runs any more; they end early when their signal aborts. */
  async ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #isDue({ isRunning, askedAt, failures, pause, entry, life }: Question): boolean {
    const passed = performance.now() - askedAt;
    if (isRunning || passed < Math.min(pause, retry.initial)) return false;
    if (failures > 0) return passed >= pause;
    if (!entry) return true;
    if (!entry.expiresAt) return passed >= this.#options.refresh();
    // By either clock: one can be set, and the other stands still while the machine sleeps.
    const left = entry.expiresAt.getTime() - Date.now();
    return passed >= retry.initial && Math.min(life - passed, left) <= life / 2;
  }

  #countRunning(suffix: string): number {
    return [...this.#questions.values()].filter(question => question.isRunning && question.suffix === suffix)
      .length;
  }

  #start(question: Question, signal: AbortSignal): void {
    const { suffix, registry } = question;
    question.isRunning = true;
    const run = askHelper({ directory: this.#options.directory, suffix, registry, signal }).then(answer => {
      question.isRunning = false;
      this.#take(question, answer);
      this.#running.delete(run);
      this.#options.onAnswer();
    });
    this.#running.add(run);
  }

  #take(question: Question, answer: HelperAnswer): void {
    question.askedAt = performance.now();
    if (answer.kind === 'failure') {
      question.problem = answer.problem;
      question.pause = backoffDelay(retry, ++question.failures);
      return;
    }
    const { source, registry } = question;
    const secret =
      answer.kind === 'identity-token'
        ? { identityToken: answer.token }
        : { auth: encodeBasicAuth(answer.username, answer.secret.reveal()) };
    const entry = makeEntry({ registry, source, isAnswer: true, ...secret });
    const life = entry.expiresAt ? entry.expiresAt.getTime() - Date.now() : Number.POSITIVE_INFINITY;
    Object.assign(question, { entry, life, problem: undefined, failures: 0, pause: 0 });
  }
}
