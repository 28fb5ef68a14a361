import type { z } from 'zod';

/** Docker answered with another status than 200; the message is docker's. */
export class DockerRefusal extends Error {
  override readonly name = 'DockerRefusal';

  constructor(status: number, message: string | undefined) {
    super(message ?? `it answers with the HTTP status ${status}`);
  }
}

/** So much of a refusal is looked at; a registry's text may stand in it. */
const maxRefusalBytes = 2 ** 16;

/** Reads a text to its end. Throws if it has more than so many bytes. */
export async function readText(chunks: AsyncIterable<Buffer>, maxBytes: number): Promise<string> {
  const read: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`it sends more than ${maxBytes} bytes`);
    read.push(chunk);
  }
  return Buffer.concat(read).toString();
}

/** Reads JSON of this form. Throws an error that does not quote it. */
export function readJson<Answer>(text: string, schema: z.ZodType<Answer>): Answer {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new Error('what it answers is not understood', { cause: error });
  }
}

/** The message in the answer to a call that is refused; undefined if it is none of docker. */
export async function readRefusal(body: AsyncIterable<Buffer>): Promise<string | undefined> {
  try {
    const { message, error } = JSON.parse(await readText(body, maxRefusalBytes));
    // Newer versions of podman answer with the last object of a pull that failed.
    return [message, error].find(value => typeof value === 'string');
  } catch {
    return undefined;
  }
}
