import type { MeasuredPull } from '../runtime.ts';
import type { PullStep } from './pull-step.ts';

/** A layer, in compressed bytes; the total is undefined until it is told. */
type Layer = {
  bytesDone: number;
  bytesTotal: number | undefined;
  state: 'announced' | 'waiting' | 'coming' | 'here';
};

/** What is said of a layer that has come; what follows in its life is the unpacking. */
const hasCome = new Set([
  'Already exists',
  'Verifying Checksum',
  'Download complete',
  'Extracting',
  'Pull complete',
]);

/** What is kept of one pull: docker allows some 127 layers, and a registry may name millions. */
const [maxLayers, maxIdLength, maxWords, maxWordLength] = [1_000, 128, 1_000, 300];

/** Adds up how far the layers of one pull are, from what docker says of each. */
export class LayerProgress {
  #announcesAll: boolean;
  readonly #layers = new Map<string, Layer>();
  /** There are layers of which nothing is kept. */
  #hasMore = false;
  #isOver = false;
  /** What was said while no layer was known. */
  readonly #words = new Set<string>();
  #wordsMeasured = 0;

  /** Whether every layer is announced before the first byte of any comes; podman announces each when it begins with it. */
  constructor(announcesAll: boolean) {
    this.#announcesAll = announcesAll;
  }

  /** Takes over what was said. */
  take(step: PullStep): void {
    const { id, status = '', progressDetail } = step;
    const layer = id === undefined ? undefined : (this.#layers.get(id) ?? this.#begin(id, step));
    if (!layer) this.#hear(`${id} ${status}`);
    else if (hasCome.has(status)) come(layer);
    else if (status === 'Waiting') layer.state = 'waiting';
    else if (status === 'Downloading' || (layer.state !== 'here' && hasBytes(step)))
      download(layer, progressDetail);
  }

  /** The pull has succeeded: there is no other layer. */
  finish(): void {
    this.#isOver = true;
  }

  /**
   * How far the pull is; undefined while nothing is known of its layers, and nothing new was said since the last measure.
   * What is said meanwhile is a sign of life: some versions say nothing of a layer before its first byte.
   */
  measure(): MeasuredPull | undefined {
    const layers = [...this.#layers.values()];
    if (layers.length === 0) return this.#measureWords();
    const isAll = !this.#hasMore && (this.#announcesAll || this.#isOver);
    const isKnown = isAll && layers.every(({ bytesTotal }) => bytesTotal !== undefined);
    const bytesTotal = sum(layers.map(({ bytesTotal = 0 }) => bytesTotal));
    return {
      bytesDone: sum(layers.map(({ bytesDone }) => bytesDone)),
      // Of a pull without any byte, the layers were there, or so small that nothing was said of them.
      bytesTotal: isKnown && bytesTotal > 0 ? bytesTotal : null,
      awaitsBytes: layers.some(({ state }) => state === 'announced' || state === 'coming'),
    };
  }

  /** A layer is what is announced as one, or has bytes, whatever is said of it; undefined if it is none, or one too many. */
  #begin(id: string, step: PullStep): Layer | undefined {
    const isAnnounced = step.status === 'Pulling fs layer' || step.status === 'Already exists';
    if (!isAnnounced && !hasBytes(step)) return undefined;
    if (!isAnnounced) this.#announcesAll = false;
    if (this.#layers.size >= maxLayers || id.length > maxIdLength) {
      this.#hasMore = true;
      return undefined;
    }
    const layer: Layer = { bytesDone: 0, bytesTotal: undefined, state: 'announced' };
    this.#layers.set(id, layer);
    return layer;
  }

  /** Each word counts once, and only so many do: what is said over and over is no progress. */
  #hear(word: string): void {
    if (this.#layers.size > 0 || this.#words.size >= maxWords || word.length > maxWordLength) return;
    this.#words.add(word);
  }

  #measureWords(): MeasuredPull | undefined {
    const isNew = this.#words.size > this.#wordsMeasured;
    this.#wordsMeasured = this.#words.size;
    return isNew ? { bytesDone: 0, bytesTotal: null, awaitsBytes: false } : undefined;
  }
}

function hasBytes({ progressDetail: { current = 0, total = 0 } = {} }: PullStep): boolean {
  return current > 0 || total > 0;
}

/** A download that is begun anew, after a failed one, is no step back. */
function download(layer: Layer, { current = 0, total = 0 }: PullStep['progressDetail'] = {}): void {
  layer.state = 'coming';
  layer.bytesDone = Math.max(layer.bytesDone, current);
  if (total > 0) layer.bytesTotal = Math.max(total, layer.bytesDone);
}

/** A small layer may be there before its size was told; it counts for nothing. */
function come(layer: Layer): void {
  layer.state = 'here';
  layer.bytesTotal ??= layer.bytesDone;
  layer.bytesDone = layer.bytesTotal;
}

function sum(numbers: readonly number[]): number {
  return Math.min(
    numbers.reduce((all, one) => all + one, 0),
    Number.MAX_SAFE_INTEGER,
  );
}
