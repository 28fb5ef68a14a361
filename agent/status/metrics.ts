import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ImageState } from '../images/image-state.ts';
import type { Status } from './status.ts';

const imageStates = ['present', 'pulling', 'waiting', 'failed', 'skipped'] as const;

/** The metrics of `/metrics`, all with the prefix `pullready_`. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #status: () => Status;
  readonly #writes = this.#counter('target_writes_total', 'Times that a docker config file was written.', [
    'target',
  ]);
  readonly #pulls = this.#counter(
    'pulls_total',
    'Attempts to pull an image, by their result (ok or the kind of failure).',
    ['result'],
  );
  readonly #pullSeconds = new Histogram({
    name: 'pullready_pull_duration_seconds',
    help: 'How long successful pulls took.',
    buckets: [0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600],
    registers: [this.#registry],
  });

  constructor(status: () => Status) {
    this.#status = status;
    this.#gauge(
      'ready',
      'Whether the node is ready: every target current, every required image present.',
      ({ ready }) => Number(ready),
    );
    this.#gauge(
      'config_problems',
      'Problems of the config; while there are any, the last good one is in force.',
      ({ config }) => config.problems.length,
    );
    this.#gauge('runtime_connected', 'Whether the container runtime answers.', ({ runtime }) =>
      Number(runtime.state === 'connected'),
    );
    this.#gauge(
      'disk_free_bytes',
      'Free bytes of the file system that holds the images.',
      ({ disk }) => disk.freeBytes,
    );
    this.#gauge(
      'disk_keep_free_bytes',
      'Bytes of that file system that are kept free.',
      ({ disk }) => disk.keepFreeBytes,
    );
    this.#labelled('images', 'Images of the list, by their state.', ['state'], ({ images }) =>
      imageStates.map(state => [{ state }, images.filter(image => image.state === state).length]),
    );
    this.#labelled(
      'source_entries',
      'Entries in force of a mounted Secret.',
      ['source', 'state'],
      ({ credentials }) =>
        credentials.sources.map(({ name, state, entries }) => [{ source: name, state }, entries]),
    );
    this.#labelled(
      'entry_expiry_timestamp_seconds',
      'When a credential expires by its own word, in seconds since 1970.',
      ['registry', 'source'],
      ({ credentials }) =>
        credentials.entries.flatMap(({ registry, source, expiresAt }) =>
          expiresAt === null ? [] : [[{ registry, source }, Date.parse(expiresAt) / 1_000] as const],
        ),
    );
    this.#gauge(
      'credential_warnings',
      'What an operator should know about credentials although nothing failed.',
      ({ credentials }) => credentials.warnings.length,
    );
    this.#labelled(
      'target_current',
      'Whether a docker config file says what it should.',
      ['target'],
      ({ credentials }) =>
        credentials.targets.map(({ path, state }) => [{ target: path }, Number(state === 'current')]),
    );
  }

  countWrite(target: string): void {
    this.#writes.inc({ target });
  }

  /** Counts an attempt that has ended. */
  countPull({ failure, durationMs }: ImageState): void {
    this.#pulls.inc({ result: failure?.kind ?? 'ok' });
    if (!failure && durationMs !== null) this.#pullSeconds.observe(durationMs / 1_000);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The text of `/metrics` as of now. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name: `pullready_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, value: (status: Status) => number | null): void {
    // Prometheus' own way to say that a number is not known.
    this.#labelled(name, help, [], status => [[{}, value(status) ?? Number.NaN]]);
  }

  /** A gauge whose values are taken from the status whenever somebody asks. */
  #labelled<Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    values: (status: Status) => readonly (readonly [Partial<Record<Label, string>>, number])[],
  ): void {
    const status = this.#status;
    new Gauge<Label>({
      name: `pullready_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [labels, value] of values(status())) this.set(labels, value);
      },
    });
  }
}
