/** A stream that may be a terminal, such as standard output. */
export type TerminalStream = {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
};

/** Lines that scroll, and below them one that is redrawn in place while there is something to follow. */
export class Terminal {
  readonly #stream: TerminalStream;
  #status = '';

  constructor(stream: TerminalStream) {
    this.#stream = stream;
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Writes text that ends with a line break above the status line. */
  write(text: string): void {
    if (this.#status === '') this.#stream.write(text);
    else this.#stream.write(`${clearLine}${text}${this.#status}`);
  }

  /** Shows `text` as the status line, cut to the width of the terminal; an empty one removes it. */
  showStatus(text: string): void {
    if (!this.isTerminal) return;
    const status = text.slice(0, Math.max(0, (this.#stream.columns ?? 80) - 1));
    if (status === this.#status) return;
    this.#stream.write(`${clearLine}${status}`);
    this.#status = status;
  }
}

/** Back to the first column, and erase to the end of the line. */
const clearLine = '\r\u001b[K';
