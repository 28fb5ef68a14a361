import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** A TCP port on 127.0.0.1 that leads to another one, as fast or as slow as a test or a demonstration wants it. */
export type Link = {
  readonly port: number;
  /** Limits what flows towards the clients, all connections together; undefined is no limit, 0 is a standstill. */
  limit(bytesPerSecond: number | undefined): void;
  /** Closes the port and breaks every connection. */
  close(): Promise<void>;
};

/**
 * Opens a link on `port` (0: any free one) to the port of 127.0.0.1 that `target` names at the time of each connection.
 * Rejects with EADDRINUSE if the port is taken.
 */
export async function openLink({ port, target }: { port: number; target: () => number }): Promise<Link> {
  const connections = new Set<net.Socket>();
  const pace = createPace();
  // Half-open, so that what is still under way arrives when the other side has said all it had to say.
  const server = net.createServer({ allowHalfOpen: true }, client => {
    const upstream = net.connect({ port: target(), host: '127.0.0.1', allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      connections.add(socket);
      socket.once('close', () => connections.delete(socket));
    }
    const bothWays = [pipeline(client, upstream), pipeline(upstream, paced(pace), client)];
    // A broken connection is the end of both its halves; the client sees it as what it is.
    for (const way of bothWays)
      way.catch(() => {
        client.destroy();
        upstream.destroy();
      });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');

  async function close(): Promise<void> {
    const closed = once(server, 'close');
    server.close();
    for (const socket of connections) socket.destroy();
    await closed;
  }
  return { port: portOf(server), limit: pace.limit, close };
}

/**
 * A port of 127.0.0.1 that was free a moment ago; the preferred one if it was. Another one is none that the system gives
 * to whoever asks for any, so that it stays free.
 */
export async function freePort(preferred = randomInt(15_000, 30_000)): Promise<number> {
  const server = net.createServer().listen(preferred, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return await freePort();
  }
  const port = portOf(server);
  server.close();
  await once(server, 'close');
  return port;
}

function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

type Pace = {
  limit(bytesPerSecond: number | undefined): void;
  /** Returns when `bytes` more may pass. */
  turn(bytes: number, signal: AbortSignal): Promise<void>;
};

function createPace(): Pace {
  let rate: number | undefined;
  let nextTurn = 0;
  let changed = new AbortController();

  async function turn(bytes: number, signal: AbortSignal): Promise<void> {
    while (rate !== undefined) {
      const now = performance.now();
      if (rate > 0 && nextTurn <= now + 1) {
        nextTurn = Math.max(now, nextTurn) + (bytes / rate) * 1000;
        return;
      }
      const pause = rate > 0 ? nextTurn - now : 60_000;
      await delay(pause, undefined, { signal: AbortSignal.any([changed.signal, signal]) }).catch(
        () => undefined,
      );
      if (signal.aborted) return;
    }
  }
  return {
    turn,
    limit(bytesPerSecond) {
      rate = bytesPerSecond;
      nextTurn = 0;
      changed.abort();
      changed = new AbortController();
    },
  };
}

function paced(pace: Pace): Transform {
  const closed = new AbortController();
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      pace.turn(chunk.length, closed.signal).then(() => done(null, chunk), done);
    },
    destroy(error, done) {
      closed.abort();
      done(error);
    },
  });
}
