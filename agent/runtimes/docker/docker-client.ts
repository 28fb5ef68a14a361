import { AssertionError } from 'node:assert';
import type { Dispatcher, Pool } from 'undici';
import { Failure, messageOf } from '../../base/failure.ts';
import { printable } from '../failure-text.ts';
import { Liveness } from '../liveness.ts';
import { DockerRefusal, limited, readRefusal, readText, UnreadableAnswer } from './docker-answer.ts';
import { JsonObjects } from './json-objects.ts';

/** What is asked of docker. */
export type DockerRequest = {
  readonly method?: 'GET' | 'POST';
  /** Without the version of the API: `/images/json`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
};

/** How long a call other than a pull may take on a busy node, in milliseconds; a CRI runtime is given as much. */
const callTimeout = 120_000;

/**
 * How long an answer may be in which an engine tells of itself, in bytes; it has some thousand. JSON, and what is
 * wrong with it, may need a hundred times as much memory as it is long.
 */
const maxFactsBytes = 2 ** 16;

/** How long another answer may be that is read as a whole, in bytes: one of a single image, with all its labels. */
const maxAnswerBytes = 2 ** 20;

/** How long a list may be, of which only what is needed is kept: one of 1,000 images has about 1 MB. */
const maxListBytes = 8 * 2 ** 20;

/** How long one object of a stream or a list may be: they have some hundred bytes, and whatever others put into them. */
const maxObjectBytes = 2 ** 20;

/** Makes the client of the docker engine at this Unix socket. Nothing is connected to before something is asked. */
export async function createDockerClient(socketPath: string): Promise<DockerClient> {
  // Loaded only here: it takes some 30 MB of memory, and the nodes without docker can do without.
  const { Pool } = await import('undici');
  // Whoever asks bounds the wait: a pull may take hours, and docker need not say anything for long in it.
  const timeouts = { headersTimeout: 0, bodyTimeout: 0 };
  const connect = { socketPath, timeout: 5_000 };
  // The address is a name for the header alone: what is connected to is the socket.
  return new DockerClient(new Pool('http://docker', { connect, pipelining: 1, ...timeouts }));
}

/** Speaks to one docker engine over its Unix socket: a socket for every call that is under way, and no other address. */
export class DockerClient {
  /** Resolves when the engine is gone, with why. One that hangs is given up after some 10 seconds. */
  readonly closed: Promise<string>;
  #tellClosed: (reason: string) => void = () => {};
  #closedBecause: string | undefined;
  #prefix = '';
  readonly #pool: Pool;
  readonly #liveness = new Liveness({
    ask: () => this.read({ path: '/_ping' }, AbortSignal.timeout(callTimeout)),
    onSilence: () => this.close('the runtime does not answer any more; look whether it hangs'),
  });

  constructor(pool: Pool) {
    this.#pool = pool;
    this.closed = new Promise(resolve => {
      this.#tellClosed = resolve;
    });
  }

  /** Says which version of the API the calls from now on are of. */
  speak(apiVersion: string): void {
    this.#prefix = `/v${apiVersion}`;
  }

  /** What is made of docker's answers, in bounded time. Throws a Failure that begins with `tried`. */
  async ask<Answer>(
    tried: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(new Error('it does not answer')), callTimeout);
    try {
      return await work(AbortSignal.any([signal, deadline.signal]));
    } catch (error) {
      const problem = printable(messageOf(error));
      throw new Failure({ tried: `${tried} of the container runtime`, problem, cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** The whole answer. Throws a DockerRefusal or UnreadableAnswer, and whatever breaks the connection. */
  async read(request: DockerRequest, signal: AbortSignal, maxBytes = maxAnswerBytes): Promise<string> {
    return await readText(this.#receive(request, signal), maxBytes);
  }

  /** What an engine tells of itself. Throws as `read` does. */
  async readFacts(path: string, signal: AbortSignal): Promise<string> {
    return await this.read({ path }, signal, maxFactsBytes);
  }

  /**
   * The objects of an answer that is a list, each as it comes; whoever has seen enough leaves the rest. Throws a
   * DockerRefusal or UnreadableAnswer, and whatever breaks the connection.
   */
  async *list(request: DockerRequest, signal: AbortSignal): AsyncGenerator<unknown> {
    const objects = new JsonObjects(maxObjectBytes, 'list');
    for await (const chunk of limited(this.#receive(request, signal), maxListBytes))
      yield* objects.take(chunk);
    if (!objects.isWhole) throw new UnreadableAnswer('the list ends in the middle');
  }

  /** The objects of an answer, each as it comes. Throws a DockerRefusal, and whatever breaks the connection. */
  async *objects(request: DockerRequest, signal: AbortSignal): AsyncGenerator<unknown> {
    yield* objectsOf(this.#receive(request, signal));
  }

  /** The same of an answer that may be silent for as long as there is nothing to tell, once it has begun. */
  async listen(request: DockerRequest, signal: AbortSignal): Promise<AsyncGenerator<unknown>> {
    const { statusCode, body } = await this.#send(request, signal);
    if (statusCode !== 200) throw new DockerRefusal(statusCode, await readRefusal(body));
    return objectsOf(body);
  }

  /** Ends all that is under way. `reason` says why in a few words. */
  close(reason = 'the connection was closed'): void {
    if (this.#closedBecause !== undefined) return;
    this.#closedBecause = reason;
    this.#tellClosed(reason);
    void this.#pool.destroy(new Error(reason));
  }

  async *#receive(request: DockerRequest, signal: AbortSignal): AsyncGenerator<Buffer> {
    const call = this.#liveness.callBegins();
    try {
      const { statusCode, body } = await this.#send(request, signal);
      call.answered();
      if (statusCode !== 200) throw new DockerRefusal(statusCode, await readRefusal(body));
      for await (const chunk of body) {
        call.answered();
        yield chunk;
      }
    } finally {
      call.ended();
    }
  }

  async #send(request: DockerRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    if (this.#closedBecause !== undefined) throw new Error(this.#closedBecause);
    const { method = 'GET', path, query = {}, headers = {} } = request;
    try {
      return await this.#pool.request({ method, path: this.#prefix + path, query, headers, signal });
    } catch (error) {
      // undici asserts that the status of an answer is one of HTTP.
      if (error instanceof AssertionError) throw new Error('what it answers is no HTTP', { cause: error });
      throw error;
    }
  }
}

async function* objectsOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<unknown> {
  const objects = new JsonObjects(maxObjectBytes);
  for await (const chunk of chunks) yield* objects.take(chunk);
  if (!objects.isWhole) throw new Error('the answer ends in the middle');
}
