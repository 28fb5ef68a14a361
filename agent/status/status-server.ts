import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, ListenOptions } from 'node:net';
import { Failure, messageOf } from '../base/failure.ts';
import type { Metrics } from './metrics.ts';
import { renderPage } from './page.ts';
import type { Status } from './status.ts';

/** What is served, and where. */
export type StatusServerOptions = {
  /** `HOST:PORT` (port 0 is any free one), or the path of a unix socket. */
  readonly listen: string;
  readonly status: () => Status;
  readonly metrics: Metrics;
  /** Answers `POST /clean?before=MILLISECONDS` with what it returns, as JSON; without it all can only be read. */
  readonly clean?: () => Promise<unknown>;
};

/** A server that listens. */
export type StatusServer = {
  /** Where it listens: `http://127.0.0.1:9797`. */
  readonly url: string;
  close(): Promise<void>;
};

/** Serves health, metrics, status and the page over HTTP, to be read only. Throws a Failure if it cannot listen. */
export async function startStatusServer(options: StatusServerOptions): Promise<StatusServer> {
  // Checked every second, so that connections that ask nothing do not keep the probes out for long.
  const server = createServer({ connectionsCheckingInterval: 1_000 }, (request, response) => {
    answer(request, response, options).catch(error => {
      // A fault of ours; the reader is told so, and nobody else is.
      if (!response.headersSent) send(response, 500, 'text/plain', `${messageOf(error)}\n`);
      else response.destroy();
    });
  });
  // Nobody needs long to ask; who sends nothing must not hold a connection for ever.
  server.headersTimeout = 3_000;
  server.requestTimeout = 3_000;
  // One answer a connection: who asks again and again without reading would fill our memory with answers.
  server.maxRequestsPerSocket = 1;
  server.maxConnections = 200;
  server.setTimeout(5_000, socket => socket.destroy());
  const address = readAddress(options.listen);
  await new Promise<void>((resolve, reject) => {
    // Listened to for good: a later error, such as a lack of file descriptors, must not end the process.
    server.on('error', error => {
      const advice = 'give another address with --listen, or none';
      reject(
        new Failure({
          tried: `listening on ${options.listen}`,
          problem: messageOf(error),
          advice,
          cause: error,
        }),
      );
    });
    server.listen(address, resolve);
  });
  return {
    url: urlOf(server.address()),
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: StatusServerOptions,
): Promise<void> {
  const url = URL.parse(request.url ?? '/', 'http://localhost');
  const path = url?.pathname;
  if (request.method === 'POST' && path === '/clean' && options.clean) {
    // Whoever asked has given up by then, and must not be surprised by it later.
    if (Date.now() > Number(url?.searchParams.get('before') ?? Infinity))
      return send(response, 408, 'text/plain', 'it was asked for too long ago\n');
    return send(response, 200, 'application/json', `${JSON.stringify(await options.clean())}\n`);
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return send(response, 405, 'text/plain', 'this can only be read\n');
  }
  switch (path) {
    case '/livez':
      return send(response, 200, 'text/plain', 'alive\n');
    case '/readyz':
      return sendReadiness(response, options.status());
    case '/status':
      return send(response, 200, 'application/json', `${JSON.stringify(options.status(), null, 2)}\n`);
    case '/metrics':
      return send(response, 200, options.metrics.contentType, await options.metrics.text());
    case '/':
      return send(response, 200, 'text/html', renderPage(options.status()));
    default:
      return send(response, 404, 'text/plain', 'there are /, /status, /metrics, /livez and /readyz\n');
  }
}

function sendReadiness(response: ServerResponse, { ready, reasons, notes }: Status): void {
  const lines = [
    ready ? 'ready' : 'not ready',
    ...reasons.map(reason => `- ${reason}`),
    ...notes.map(note => `note: ${note}`),
  ];
  send(response, ready ? 200 : 503, 'text/plain', `${lines.join('\n')}\n`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': type.includes('charset') ? type : `${type}; charset=utf-8`,
    connection: 'close',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  });
  response.end(body);
}

function readAddress(listen: string): ListenOptions {
  if (listen.startsWith('/')) return { path: listen };
  const colon = listen.lastIndexOf(':');
  return { host: listen.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(listen.slice(colon + 1)) };
}

function urlOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === 'string') return `unix://${address}`;
  const { address: host, port } = address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
