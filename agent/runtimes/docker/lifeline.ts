import { connect } from 'node:net';
import type { DockerClient } from './docker-client.ts';

/**
 * Closes the connection when the engine ends: holds one more connection to its socket, on which nothing is ever said, and
 * which the kernel ends for a program that dies.
 */
export function holdLifeline(client: DockerClient, socketPath: string): void {
  const socket = connect({ path: socketPath });
  // An error is followed by the end, and would end this process if nobody heard it.
  socket.on('error', () => {});
  socket.once('close', () => client.close('the connection was lost'));
  socket.resume();
  void client.closed.then(() => socket.destroy());
}
