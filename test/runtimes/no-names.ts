import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { cleanUp } from '../sandbox/cleanup.ts';

/** A name server that knows no name. */
export type NoNames = {
  /** Its address; the port is that of DNS, because a resolv.conf cannot name another one. */
  readonly address: string;
  /** How many questions came. */
  asked(): number;
};

/** Answers every question with "no such name" until the test ends, so that none leaves the machine. */
export async function serveNoNames(test: TestContext): Promise<NoNames> {
  const address = `127.53.${randomInt(256)}.${randomInt(1, 255)}`;
  const socket = createSocket('udp4');
  let count = 0;
  socket.on('message', (question, { port, address: from }) => {
    count++;
    const answer = Buffer.from(question);
    // The question as it came (RFC 1035, 4.1.1), as a response with the code 3.
    answer.writeUInt8(answer.readUInt8(2) | 0x80, 2);
    answer.writeUInt8(0x83, 3);
    socket.send(answer, port, from);
  });
  socket.bind(53, address);
  await once(socket, 'listening');
  cleanUp(test, () => socket.close());
  return { address, asked: () => count };
}
