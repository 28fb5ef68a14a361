import { inspect } from 'node:util';

const shown = '[secret]';

/**
 * A text that must never be seen: printing, serialising, inspecting or concatenating it yields `[secret]`.
 * Only `reveal()` gives the text, so every place that handles it in the open can be found by that name.
 */
export class SecretText {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /**
   * The text itself. To be called only where the secret leaves for the file or the runtime it is meant for, or is looked
   * for in what is to be shown.
   */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }

  [Symbol.toPrimitive](): string {
    return shown;
  }

  [inspect.custom](): string {
    return shown;
  }
}
