import { z } from 'zod';

/**
 * Docker answered with another status than 200. The message is docker's own, raw, because it tells the kind of what went
 * wrong; whoever shows it makes it printable.
 */
export class DockerRefusal extends Error {
  override readonly name = 'DockerRefusal';
  /** It says no word that is docker's, so that the message is ours. */
  readonly isWordless: boolean;

  constructor(status: number, message: string | undefined) {
    super(message ?? `it answers with the HTTP status ${status}`);
    this.isWordless = message === undefined;
  }
}

/** Docker answered, and in another form than is known, or with more than is read. */
export class UnreadableAnswer extends Error {
  override readonly name = 'UnreadableAnswer';
}

/** So much of a refusal is looked at; a registry's text may stand in it. */
const maxRefusalBytes = 2 ** 16;

/** Passes a text on. Throws an UnreadableAnswer as soon as it has more than so many bytes. */
export async function* limited(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new UnreadableAnswer(`it sends more than ${maxBytes} bytes`);
    yield chunk;
  }
}

/** Reads a text to its end. Throws an UnreadableAnswer if it has more than so many bytes. */
export async function readText(chunks: AsyncIterable<Buffer>, maxBytes: number): Promise<string> {
  const read: Buffer[] = [];
  for await (const chunk of limited(chunks, maxBytes)) read.push(chunk);
  return Buffer.concat(read).toString();
}

/** Reads JSON of this form. Throws an UnreadableAnswer that does not quote it. */
export function readJson<Answer>(text: string, schema: z.ZodType<Answer>): Answer {
  return understood(() => schema.parse(JSON.parse(text)));
}

/**
 * A list of such elements. The first that is none ends the look at it: zod's own lists keep a complaint of each, which a
 * million bad elements make a hundred times as long as the answer.
 */
export function listOf<Element>(element: z.ZodType<Element>): z.ZodType<readonly Element[]> {
  return z.custom<readonly Element[]>(
    value => Array.isArray(value) && value.every(each => element.safeParse(each).success),
  );
}

/** What `read` makes of an answer; any other error is the cause of an UnreadableAnswer, which does not quote it. */
export function understood<Answer>(read: () => Answer): Answer {
  try {
    return read();
  } catch (error) {
    if (error instanceof UnreadableAnswer) throw error;
    throw new UnreadableAnswer('what it answers is not understood', { cause: error });
  }
}

/** undefined instead of what docker refuses to tell, or tells in a form that is not known. */
export async function ifTold<Answer>(asked: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof DockerRefusal || error instanceof UnreadableAnswer) return undefined;
    throw error;
  }
}

/** The message in the answer to a call that is refused; undefined if it is none of docker. */
export async function readRefusal(body: AsyncIterable<Buffer>): Promise<string | undefined> {
  const text = await readStart(body, maxRefusalBytes);
  try {
    const { message, error } = JSON.parse(text);
    // Newer versions of podman answer with the last object of a pull that failed.
    return [message, error].find(value => typeof value === 'string');
  } catch {
    return messageIn(text);
  }
}

async function readStart(chunks: AsyncIterable<Buffer>, maxBytes: number): Promise<string> {
  const read: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of chunks) {
      read.push(chunk);
      bytes += chunk.length;
      if (bytes >= maxBytes) break;
    }
  } catch {
    // It is a refusal all the same, and what has come may say why.
  }
  return Buffer.concat(read).subarray(0, maxBytes).toString();
}

/** The message of JSON that was cut off, maybe within it. The names of podman's fields are among docker's. */
function messageIn(text: string): string | undefined {
  const [, words] =
    /"(?:message|error|cause)"\s*:\s*"([^"\\]*(?:\\(?:u[\da-f]{4}|["\\/bfnrt])[^"\\]*)*)/i.exec(text) ?? [];
  try {
    return words === undefined ? undefined : JSON.parse(`"${words}"`);
  } catch {
    return undefined;
  }
}
