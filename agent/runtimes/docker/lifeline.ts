import { connect, type Socket } from 'node:net';
import type { DockerClient } from './docker-client.ts';

/** A lifeline that ends sooner is not made again, in milliseconds: whoever ends all of them would be asked without a pause. */
const shortest = 1_000;

/** How long the engine may take to answer whether it is there, in milliseconds. */
const pingTimeout = 5_000;

/**
 * Closes the connection when the engine ends: holds one more connection to its socket, on which nothing is ever said, and
 * which the kernel ends for a program that dies. A proxy before the engine may end it for its silence; then the engine
 * still answers, and it is made again.
 */
export function holdLifeline(client: DockerClient, socketPath: string): void {
  let socket: Socket | undefined;
  let isClosed = false;
  const hold = () => {
    if (isClosed) return;
    const since = performance.now();
    socket = connect({ path: socketPath });
    // An error is followed by the end, and would end this process if nobody heard it.
    socket.on('error', () => {});
    socket.once('close', () => void ended(since));
    socket.resume();
  };
  const ended = async (since: number) => {
    if (performance.now() - since >= shortest && (await answers(client))) hold();
    else client.close('the connection was lost');
  };
  hold();
  void client.closed.then(() => {
    isClosed = true;
    socket?.destroy();
  });
}

async function answers(client: DockerClient): Promise<boolean> {
  try {
    await client.read({ path: '/_ping' }, AbortSignal.timeout(pingTimeout));
    return true;
  } catch {
    return false;
  }
}
