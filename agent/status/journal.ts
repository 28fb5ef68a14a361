import { formatByteSize } from '../base/byte-size.ts';
import { formatDuration } from '../base/duration.ts';
import type { Logger } from '../base/log.ts';
import type { ConfigState } from '../config-file.ts';
import type { CredentialState, TargetState } from '../credentials/credential-flow.ts';
import type { Source } from '../credentials/sources.ts';
import type { ImageState } from '../images/image-state.ts';
import type { Metrics } from './metrics.ts';

/** Writes to the log, once each, what has changed: the flows report how things stand, over and over. */
export class Journal {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #said = new Map<string, string>();
  readonly #images = new Map<string, ImageState>();

  constructor(log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  config({ config, problems }: ConfigState): void {
    const force = config ? 'the last good one stays in force' : 'nothing is done until it is mended';
    this.#once('config', problems.join('\n'), () => {
      for (const problem of problems) this.#log.error(`config: ${problem} (${force})`);
      if (problems.length === 0) this.#log.info({ images: config?.images.length ?? 0 }, 'config read');
    });
  }

  credentials({ sources, targets, problems, conflicts }: CredentialState): void {
    for (const source of sources) this.#source(source);
    for (const name of this.#gone('source ', sources)) this.#log.info({ source: name }, 'secret is gone, its entries are revoked');
    for (const target of targets) this.#target(target);
    this.#once('problems', problems.join('\n'), () => {
      for (const problem of problems) this.#log.error(problem);
    });
    this.#once('conflicts', conflicts.join('\n'), () => {
      for (const conflict of conflicts) this.#log.warn(conflict);
    });
  }

  image(image: ImageState): void {
    const name = image.wanted.reference.name;
    const before = this.#images.get(name);
    this.#images.set(name, image);
    if (before?.state === image.state && before.failure?.message === image.failure?.message) return;
    const { state, failure, bytesTotal, durationMs, attempts, nextAttemptAt } = image;
    const fields = { image: image.wanted.image, ...(attempts > 1 && { attempt: attempts }) };
    if (before?.state === 'pulling' && state !== 'pulling') this.#metrics.countPull(image);
    if (state === 'pulling') this.#log.info(fields, 'pulling');
    else if (failure) {
      const next = nextAttemptAt ? `next try in ${formatDuration(Math.max(0, nextAttemptAt.getTime() - Date.now()))}` : 'no try until something changes';
      this.#log.warn({ ...fields, kind: failure.kind }, `${failure.message} (${next})`);
    } else if (state === 'present' && before?.state === 'pulling') {
      const bytes = bytesTotal === null ? '' : ` ${formatByteSize(bytesTotal)}`;
      this.#log.info(fields, `pulled${bytes} in ${formatDuration(durationMs ?? 0)}`);
    } else if (state === 'waiting' && before?.state === 'present') this.#log.warn(fields, 'is gone from the node');
    else this.#log.debug(fields, state);
  }

  #source({ name, state, entries, problems }: Source): void {
    this.#once(`source ${name}`, JSON.stringify([state, entries.length, problems]), () => {
      const fields = { source: name, state, entries: entries.length };
      if (problems.length === 0) this.#log.info(fields, 'secret read');
      for (const problem of problems) this.#log.warn(fields, problem);
    });
  }

  #target(target: TargetState): void {
    const { path, state, managed, foreign, displaced, problem, written } = target;
    if (written) {
      this.#metrics.countWrite(path);
      this.#log.info({ target: path, managed, foreign }, managed > 0 ? 'credentials written' : 'credentials taken out');
    }
    this.#once(`target ${path}`, `${state} ${problem}`, () => {
      if (problem) this.#log.error({ target: path, state }, problem);
      else if (!written) this.#log.info({ target: path, managed, foreign }, 'credentials are current');
    });
    this.#once(`displaced ${path}`, displaced.join(' '), () => {
      for (const registry of displaced) this.#log.warn({ target: path, registry }, "somebody else's entry is kept aside");
    });
  }

  #gone(prefix: string, sources: readonly Source[]): readonly string[] {
    const names = [...this.#said.keys()].filter(key => key.startsWith(prefix)).map(key => key.slice(prefix.length));
    const gone = names.filter(name => !sources.some(source => source.name === name));
    for (const name of gone) this.#said.delete(prefix + name);
    return gone;
  }

  /** Says something about a subject if it is not what was said last; nothing is what was said at first. */
  #once(subject: string, what: string, say: () => void): void {
    if ((this.#said.get(subject) ?? '') === what && (what !== '' || subject !== 'config' || this.#said.has(subject))) return;
    this.#said.set(subject, what);
    say();
  }
}
