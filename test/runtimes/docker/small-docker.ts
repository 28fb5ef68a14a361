import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSocketServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { connectDocker } from '../../../agent/runtimes/docker/docker-runtime.ts';
import { cleanUp } from '../../sandbox/cleanup.ts';
import { temporaryDirectory } from '../../sandbox/temporary.ts';

const never = new AbortController().signal;

/** Answers one call; `url` has no version of the API in it. */
export type DockerAnswer = (response: ServerResponse, url: URL, request: IncomingMessage) => void;

/** What the small docker answers, by path; what is not given it answers as an engine without any image. */
export type DockerAnswers = Readonly<Record<string, DockerAnswer>>;

/** A docker engine that does what a real one does not do when it is asked to. */
export type SmallDocker = {
  readonly socketPath: string;
  /** What was asked: `GET /v1.41/images/json`. */
  readonly asked: readonly string[];
  /** How many calls are being answered. */
  underWay(): number;
  /** How many sockets are open. */
  connections(): number;
  /** Breaks every connection, and takes no other. */
  end(): void;
};

/** Answers with JSON. */
export function json(value: unknown, status = 200): DockerAnswer {
  return response => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
}

/** Begins to answer, and never goes on. */
export const silent: DockerAnswer = response => {
  response.writeHead(200);
  response.flushHeaders();
};

/** Takes the call, and never answers. */
export const hang: DockerAnswer = () => {};

/** Tells of a pull in these pieces, each sent by itself, and ends; or breaks the connection instead. */
export function tell(pieces: readonly string[], isCut = false): DockerAnswer {
  return async response => {
    response.writeHead(200);
    for (const piece of pieces) {
      response.write(piece);
      await new Promise(resolve => setImmediate(resolve));
    }
    if (isCut) response.destroy();
    else response.end();
  };
}

/** The answer of dockerd 20.10 to the question for its version. */
export const dockerVersion = { Version: '20.10.24', ApiVersion: '1.41', MinAPIVersion: '1.12' };

/** Serves docker's API on a socket until the test ends. */
export async function serveDocker(test: TestContext, answers: DockerAnswers = {}): Promise<SmallDocker> {
  const all: DockerAnswers = {
    '/version': json(dockerVersion),
    '/_ping': response => response.end('OK'),
    '/events': silent,
    '/images/json': json([]),
    ...answers,
  };
  const asked: string[] = [];
  let underWay = 0;
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    underWay++;
    response.once('close', () => underWay--);
    const url = new URL(request.url?.replace(/^\/v\d+\.\d+(?=\/)/, '') ?? '', 'http://docker');
    (all[url.pathname] ?? json({ message: 'page not found' }, 404))(response, url, request);
  });
  let connections = 0;
  server.on('connection', socket => {
    connections++;
    socket.once('close', () => connections--);
  });
  const socketPath = await listen(test, server);
  const end = () => {
    server.closeAllConnections();
    server.close();
  };
  cleanUp(test, end);
  return { socketPath, asked, underWay: () => underWay, connections: () => connections, end };
}

/** The runtime that is served so. */
export async function connectSmall(test: TestContext, answers: DockerAnswers = {}) {
  const docker = await serveDocker(test, answers);
  const runtime = await connectDocker(docker.socketPath, 'unix:///run/docker.sock', never);
  cleanUp(test, () => runtime.close());
  return { ...docker, runtime };
}

/** Something else than docker: whatever connects to the socket is spoken to so. */
export async function serveOther(test: TestContext, speak: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createSocketServer(socket => {
    sockets.add(socket.on('error', () => socket.destroy()));
    speak(socket);
  });
  const socketPath = await listen(test, server);
  cleanUp(test, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return socketPath;
}

async function listen(
  test: TestContext,
  server: { listen(path: string, done: () => void): void },
): Promise<string> {
  const socketPath = join(await temporaryDirectory(test), 'docker.sock');
  await new Promise<void>(resolve => server.listen(socketPath, resolve));
  return socketPath;
}
