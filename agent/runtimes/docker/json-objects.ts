const [quote, backslash, open, close] = Buffer.from('"\\{}');
const whitespace = new Set(Buffer.from(' \t\r\n'));

/**
 * Takes a stream of JSON objects apart. They need neither end where a chunk ends nor be separated by anything. Bytes are
 * looked at and not characters: what JSON is built of is ASCII, and no byte of a longer UTF-8 character is.
 */
export class JsonObjects {
  readonly #maxBytes: number;
  /** Of the object that has begun and not ended. */
  #parts: Buffer[] = [];
  #bytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** No object may have more than so many bytes. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True unless an object has begun and not ended. */
  get isWhole(): boolean {
    return this.#depth === 0;
  }

  /** The objects that end in this chunk. Throws if it is no JSON, or an object is too long; the stream is lost then. */
  take(chunk: Buffer): readonly unknown[] {
    const objects: unknown[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (this.#depth === 0) {
        if (whitespace.has(byte)) continue;
        if (byte !== open) throw new Error('what comes is no JSON object');
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
    if (this.#bytes > this.#maxBytes) throw new Error(`a JSON object has more than ${this.#maxBytes} bytes`);
    this.#parts.push(part);
  }

  #finish(last: Buffer): unknown {
    this.#keep(last);
    const text = Buffer.concat(this.#parts).toString();
    this.#parts = [];
    this.#bytes = 0;
    return JSON.parse(text);
  }
}
