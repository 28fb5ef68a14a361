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

/** Adds up how far the layers of one pull are, from what docker says of each. */
export class LayerProgress {
  readonly #announcesAll: boolean;
  readonly #layers = new Map<string, Layer>();
  #isOver = false;

  /** Whether every layer is announced before the first byte of any comes; podman announces each when it begins with it. */
  constructor(announcesAll: boolean) {
    this.#announcesAll = announcesAll;
  }

  /** Takes over what was said. */
  take({ status = '', id, progressDetail }: PullStep): void {
    if (id === undefined) return;
    const layer = this.#layers.get(id);
    if (!layer && status === 'Already exists')
      this.#layers.set(id, { bytesDone: 0, bytesTotal: 0, state: 'here' });
    else if (!layer && status === 'Pulling fs layer')
      this.#layers.set(id, { bytesDone: 0, bytesTotal: undefined, state: 'announced' });
    else if (layer && status === 'Waiting') layer.state = 'waiting';
    else if (layer && status === 'Downloading') download(layer, progressDetail);
    else if (layer && hasCome.has(status)) come(layer);
  }

  /** The pull has succeeded: there is no other layer. */
  finish(): void {
    this.#isOver = true;
  }

  /** How far the pull is; undefined while nothing is known of its layers. */
  get measured(): MeasuredPull | undefined {
    const layers = [...this.#layers.values()];
    if (layers.length === 0) return undefined;
    const isAll = this.#announcesAll || this.#isOver;
    const isKnown = isAll && layers.every(({ bytesTotal }) => bytesTotal !== undefined);
    const bytesTotal = sum(layers.map(({ bytesTotal = 0 }) => bytesTotal));
    return {
      bytesDone: sum(layers.map(({ bytesDone }) => bytesDone)),
      // Of a pull without any byte, the layers were there, or so small that nothing was said of them.
      bytesTotal: isKnown && bytesTotal > 0 ? bytesTotal : null,
      awaitsBytes: layers.some(({ state }) => state === 'announced' || state === 'coming'),
    };
  }
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
  return numbers.reduce((all, one) => all + one, 0);
}
