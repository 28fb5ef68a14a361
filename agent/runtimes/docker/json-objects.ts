import { UnreadableAnswer, understood } from './docker-answer.ts';

const [quote, backslash, open, close] = Buffer.from('"\\{}');
const whitespace = new Set(Buffer.from(' \t\r\n'));

/** How many parts of an object are kept before they become one. */
const maxLast = 256;

/** By where the reader is outside of the objects: which bytes may come, and where each leads; `{` begins an object. */
type Grammar = Readonly<Record<string, Readonly<Record<string, string>>>>;

const grammars = {
  /** Objects that nothing separates. */
  stream: { end: { '{': 'end' } },
  /** A JSON list of objects. */
  list: {
    begin: { '[': 'first' },
    first: { '{': 'after', ']': 'end' },
    after: { ',': 'next', ']': 'end' },
    next: { '{': 'after' },
    end: {},
  },
} as const satisfies Record<string, Grammar>;

/**
 * Takes JSON objects apart as they come, of a stream or of a list. They need not end where a chunk ends. Bytes are looked
 * at and not characters: what JSON is built of is ASCII, and no byte of a longer UTF-8 character is.
 */
export class JsonObjects {
  readonly #maxBytes: number;
  readonly #grammar: Grammar;
  #place: string;
  /** Of the object that has begun and not ended. */
  #parts: Buffer[] = [];
  /** The last ones of them; a buffer for every byte would take much more memory than the bytes. */
  #last: Buffer[] = [];
  #bytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** No object may have more than so many bytes. */
  constructor(maxBytes: number, kind: keyof typeof grammars = 'stream') {
    this.#maxBytes = maxBytes;
    this.#grammar = grammars[kind];
    this.#place = kind === 'list' ? 'begin' : 'end';
  }

  /** True unless an object, or the list, has not ended. */
  get isWhole(): boolean {
    return this.#depth === 0 && this.#place === 'end';
  }

  /** The objects that end in this chunk. Throws an UnreadableAnswer if it is no JSON, or an object is too long; all is lost then. */
  take(chunk: Buffer): readonly unknown[] {
    const objects: unknown[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (this.#depth === 0) {
        if (whitespace.has(byte)) continue;
        this.#go(byte);
        if (byte !== open) continue;
        start = at;
      }
      this.#step(byte);
      if (this.#depth > 0) continue;
      objects.push(this.#finish(chunk.subarray(start, at + 1)));
      start = at + 1;
    }
    if (this.#depth > 0) this.#keep(chunk.subarray(start));
    return objects;
  }

  #go(byte: number): void {
    const place = this.#grammar[this.#place]?.[String.fromCharCode(byte)];
    if (place === undefined) throw new UnreadableAnswer('what comes is no JSON object');
    this.#place = place;
  }

  #step(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (this.#inString) {
      if (byte === backslash) this.#escaped = true;
      else if (byte === quote) this.#inString = false;
    } else if (byte === quote) this.#inString = true;
    else if (byte === open) this.#depth++;
    else if (byte === close) this.#depth--;
  }

  #keep(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#maxBytes)
      throw new UnreadableAnswer(`a JSON object has more than ${this.#maxBytes} bytes`);
    this.#last.push(part);
    if (this.#last.length < maxLast) return;
    this.#parts.push(Buffer.concat(this.#last));
    this.#last = [];
  }

  #finish(last: Buffer): unknown {
    this.#keep(last);
    const text = Buffer.concat([...this.#parts, ...this.#last]).toString();
    [this.#parts, this.#last] = [[], []];
    this.#bytes = 0;
    return understood(() => JSON.parse(text));
  }
}
