import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';

/** What a person asked a running sandbox to do, and its answer in words. */
export type ControlHandler = (words: readonly string[]) => Promise<string>;

/** There is a sandbox on this directory already, in another process. */
export class SandboxRunningError extends Error {
  override readonly name = 'SandboxRunningError';
}

/**
 * Takes commands from other processes for the sandbox of this directory. It is also the lock that keeps two sandboxes
 * from working in one directory: throws a `SandboxRunningError` if there is one.
 */
export async function serveControl(
  directory: string,
  handle: ControlHandler,
): Promise<{ close(): Promise<void> }> {
  const server = http.createServer(async (request, response) => {
    if (request.method === 'GET') return void response.end(String(process.pid));
    try {
      const words = JSON.parse(await text(request)) as string[];
      response.end(await handle(words));
    } catch (error) {
      response.writeHead(400).end(error instanceof Error ? error.message : String(error));
    }
  });
  server.listen({ path: socketName(directory) });
  await once(server, 'listening').catch(async (cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EADDRINUSE') throw cause;
    const pid = await call(directory, 'GET', '');
    throw new SandboxRunningError(
      `A sandbox is running in ${directory} already (process ${pid}).
Stop it with Ctrl-C in its terminal or with kill ${pid}; or use it from here, with npm run try.`,
      { cause },
    );
  });
  return {
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** Sends a command to the running sandbox of this directory and returns its answer; rejects if there is no sandbox. */
export async function sendControl(directory: string, words: readonly string[]): Promise<string> {
  return await call(directory, 'POST', JSON.stringify(words));
}

async function call(directory: string, method: 'GET' | 'POST', body: string): Promise<string> {
  const request = http.request({ socketPath: socketName(directory), method });
  request.end(body);
  const [response] = (await once(request, 'response').catch(cause => {
    throw new Error(`No sandbox is running in ${directory}: start it with npm start.`, { cause });
  })) as [http.IncomingMessage];
  const answer = await text(response);
  if (response.statusCode !== 200) throw new Error(answer);
  return answer;
}

// A socket without a file: the kernel gives the name to one process alone, and takes it back however that ends.
function socketName(directory: string): string {
  return `\0pullready-sandbox-${createHash('sha256').update(resolve(directory)).digest('hex').slice(0, 16)}`;
}
