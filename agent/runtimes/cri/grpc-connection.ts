import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';
import { Code, ConnectError, type Interceptor, type Transport } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Failure } from '../../base/failure.ts';
import { connectFailure } from '../connect-failure.ts';

/** One gRPC connection over a Unix socket. */
export type GrpcConnection = {
  readonly transport: Transport;
  /** Resolves when the connection is gone, with why. */
  readonly closed: Promise<string>;
  /** Fails the calls that are under way. `reason` says why in a few words. */
  close(reason?: string): void;
};

/** A list of 1,000 images has about 1 MB; the kubelet allows its runtime 16 MiB. */
const readMaxBytes = 32 * 2 ** 20;

/**
 * Connects to the gRPC server at `socketPath` and waits, at most 5 seconds, until it has said that it speaks HTTP/2.
 * Throws a Failure that says what is there instead.
 */
export async function openGrpcConnection(
  socketPath: string,
  signal: AbortSignal,
  interceptors: Interceptor[] = [],
): Promise<GrpcConnection> {
  const tried = `connecting to ${socketPath}`;
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(5_000)]);
  const socket = await openSocket(socketPath, deadline).catch(error => {
    throw connectFailure(tried, error);
  });
  // The authority is a name, because a Go server refuses a path there; which name does not matter.
  const session = connectHttp2('http://localhost', { createConnection: () => socket });
  let why = 'the connection was lost';
  const closed = new Promise<string>(resolve => session.once('close', () => resolve(why)));
  // Listened to for as long as the session lives: an error that nobody hears would end the process.
  session.on('error', () => session.destroy());
  await speaksHttp2(session, closed, deadline).catch(error => {
    session.destroy();
    if (signal.aborted) throw new Failure({ tried, problem: 'it was interrupted', cause: error });
    const isSilent = deadline.aborted;
    throw new Failure({
      tried,
      problem: `what listens there does not answer${isSilent ? '' : ' in gRPC'}`,
      advice: isSilent
        ? 'look whether the runtime hangs'
        : 'use the socket of a runtime that speaks CRI v1, such as /run/containerd/containerd.sock',
      cause: error,
    });
  });
  const transport = createGrpcTransport({
    baseUrl: 'http://localhost',
    readMaxBytes,
    interceptors,
    sessionManager: managed(session),
  });
  const close = (reason = 'the connection was closed') => {
    why = reason;
    // With an error, because calls that are under way would wait for ever for their end otherwise.
    session.destroy(new ConnectError(reason, Code.Unavailable));
  };
  return { transport, closed, close };
}

function openSocket(path: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ path });
    const abort = () => socket.destroy(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', reject);
    socket.once('close', () => signal.removeEventListener('abort', abort));
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort);
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** The server's settings are the first thing that HTTP/2 makes it send. */
function speaksHttp2(
  session: ClientHttp2Session,
  closed: Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    session.once('remoteSettings', () => resolve());
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    void closed.then(() => reject(new Error('the connection was closed')));
  });
}

/** Keeps the transport on this one session: whether and when to connect again is decided where pulls are decided. */
function managed(session: ClientHttp2Session) {
  return {
    authority: 'http://localhost',
    async request(method: string, path: string, headers: Record<string, unknown>, options: object) {
      if (session.destroyed || session.closed) {
        // One that the server has ended takes no new calls, and must not look like a connection until the old ones end.
        session.destroy();
        throw new ConnectError('the connection is gone', Code.Unavailable);
      }
      return session.request({ ...headers, ':method': method, ':path': path }, options);
    },
    notifyResponseByteRead() {
      // Only a manager that sends keep-alive pings needs to know.
    },
  };
}
