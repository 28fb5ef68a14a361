import { formatByteSize } from '../base/byte-size.ts';
import { formatDuration } from '../base/duration.ts';
import type { Logger } from '../base/log.ts';
import type { ConfigState } from '../config-file.ts';
import type { CredentialState } from '../credentials/credential-flow.ts';
import type { Source } from '../credentials/sources.ts';
import type { TargetState } from '../credentials/targets.ts';
import type { Warning } from '../credentials/warning.ts';
import { withoutUser } from '../docker-config/shown-registry.ts';
import type { ImageState } from '../images/image-state.ts';
import type { ImagesState } from '../images/images-state.ts';
import type { Metrics } from './metrics.ts';
import { describeSetAside } from './readiness.ts';
import type { Status } from './status.ts';

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

  /** Says when the node becomes ready, and when it no longer is; that it is not at the start goes without saying. */
  readiness({ ready, reasons, images }: Pick<Status, 'ready' | 'reasons' | 'images'>): void {
    if (!ready && !this.#said.has('ready')) return;
    this.#once('ready', String(ready), () => {
      if (ready)
        this.#log.info(
          `ready: ${images.filter(({ warm }) => warm).length} of ${images.length} images are there`,
        );
      else this.#log.warn(`no longer ready: ${reasons[0]}`);
    });
  }

  config({ config, problems }: ConfigState): void {
    const force = config ? 'the last good one stays in force' : 'nothing is done until it is mended';
    this.#once('config', JSON.stringify([config, problems]), () => {
      for (const problem of problems) this.#log.error(`config: ${problem} (${force})`);
      if (problems.length === 0) this.#log.info({ images: config?.images.length ?? 0 }, 'config read');
    });
  }

  credentials({ sources, targets, problems, conflicts, warnings }: CredentialState): void {
    for (const source of sources) this.#source(source);
    for (const name of this.#gone('source ', sources))
      this.#log.info({ source: name }, 'secret is gone, its entries are revoked');
    for (const target of targets) this.#target(target);
    this.#once('problems', problems.join('\n'), () => {
      for (const problem of problems) this.#log.error(problem);
    });
    this.#once('conflicts', conflicts.join('\n'), () => {
      for (const conflict of conflicts) this.#log.warn(conflict);
    });
    this.#warnings(warnings);
  }

  /** What is wrong with the image list, of which the images themselves know nothing. */
  imageList({ unusable, listWarnings }: Pick<ImagesState, 'unusable' | 'listWarnings'>): void {
    this.#once('image list', JSON.stringify([unusable, listWarnings]), () => {
      for (const { image, problem } of unusable) this.#log.warn({ image }, `cannot be pulled: ${problem}`);
      for (const warning of listWarnings) this.#log.warn(warning);
    });
  }

  image(image: ImageState): void {
    const name = image.wanted.reference.name;
    const before = this.#images.get(name);
    if (image.listed) {
      this.#images.set(name, image);
      this.#listedImage(image, before);
    } else {
      this.#images.delete(name);
      const told = image.state === 'pulling' ? 'info' : 'debug';
      this.#log[told]({ image: image.wanted.image }, 'is no longer on the list');
    }
  }

  #listedImage(image: ImageState, before: ImageState | undefined): void {
    if (before?.state === image.state && before.failure?.message === image.failure?.message) return;
    if (before?.state === 'pulling') this.#metrics.countPull(image);
    const { state, failure, attempts } = image;
    const fields = { image: image.wanted.image, ...(attempts > 1 && { attempt: attempts }) };
    if (state === 'pulling') this.#log.info(fields, 'pulling');
    else if (failure)
      this.#log.warn({ ...fields, kind: failure.kind }, `${failure.message} (${nextTry(image)})`);
    else if (before?.state === 'pulling') this.#log.info(fields, describePull(image));
    else if (before?.state === 'present') this.#log.warn(fields, 'is gone from the node');
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
    const { path, state, managed, foreign, displaced, setAside, problem, written } = target;
    if (written) {
      this.#metrics.countWrite(path);
      this.#log.info(
        { target: path, managed, foreign },
        managed > 0 ? 'credentials written' : 'credentials taken out',
      );
    }
    // A contest is told once: its sentence says how long it still is until the next try.
    this.#once(`target ${path}`, state === 'contested' ? state : `${state} ${problem}`, () => {
      if (problem) this.#log.error({ target: path, state }, problem);
      else if (!written) this.#log.info({ target: path, managed, foreign }, 'credentials are current');
    });
    this.#once(`displaced ${path}`, displaced.join(' '), () => {
      for (const registry of displaced)
        this.#log.warn(
          { target: path, registry: withoutUser(registry) },
          "somebody else's entry is kept aside",
        );
    });
    this.#once(`set aside ${path}`, setAside.join(' '), () => {
      for (const registry of setAside) this.#log.warn({ target: path }, describeSetAside(path, registry));
    });
  }

  /** Each matter once, until it is over: what is said of it changes with the time. */
  #warnings(warnings: readonly Warning[]): void {
    const matters = warnings.map(({ about }) => ({ name: about }));
    this.#gone('warning ', matters);
    for (const { about, text } of warnings) this.#once(`warning ${about}`, '', () => this.#log.warn(text));
  }

  #gone(prefix: string, present: readonly { readonly name: string }[]): readonly string[] {
    const names = [...this.#said.keys()]
      .filter(key => key.startsWith(prefix))
      .map(key => key.slice(prefix.length));
    const still = new Set(present.map(({ name }) => name));
    const gone = names.filter(name => !still.has(name));
    for (const name of gone) this.#said.delete(prefix + name);
    return gone;
  }

  /** Says something about a subject, unless it is what was said of it last. */
  #once(subject: string, what: string, say: () => void): void {
    if (this.#said.get(subject) === what) return;
    this.#said.set(subject, what);
    say();
  }
}

function describePull({ bytesTotal, durationMs }: ImageState): string {
  return `pulled${bytesTotal === null ? '' : ` ${formatByteSize(bytesTotal)}`} in ${formatDuration(durationMs ?? 0)}`;
}

function nextTry({ nextAttemptAt }: ImageState): string {
  if (!nextAttemptAt) return 'not tried again until something changes';
  return `next try in ${formatDuration(Math.max(0, nextAttemptAt.getTime() - Date.now()))}`;
}
