import { mkdir } from 'node:fs/promises';
import { createServer, type ServerHttp2Session } from 'node:http2';
import { dirname } from 'node:path';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { ImageService, RuntimeService } from '../agent/runtimes/gen/cri_pb.ts';
import { listedImage } from '../test/runtimes/listed-image.ts';

/** A container runtime that has images, pulls none, and counts how often it was asked for its list. */
export type ListingRuntime = {
  /** The names of the images, as a config has them. */
  readonly references: readonly string[];
  listed(): number;
  close(): Promise<void>;
};

/** Serves CRI v1 on a socket, in this process, with so many images. Any pull is refused, and an error. */
export async function serveListing(socketPath: string, count: number): Promise<ListingRuntime> {
  const images = Array.from({ length: count }, (_, number) => listedImage(number));
  let listed = 0;
  const listImages = () => {
    listed++;
    return { images };
  };
  const routes = connectNodeAdapter({
    connect: false,
    routes: router =>
      router
        .service(RuntimeService, { version: () => ({ runtimeName: 'listing', runtimeVersion: '1.0' }) })
        .service(ImageService, {
          listImages,
          imageFsInfo: () => ({ imageFilesystems: [{ fsId: { mountpoint: '/' } }] }),
        }),
  });
  await mkdir(dirname(socketPath), { recursive: true });
  const server = createServer(routes);
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', session => sessions.add(session));
  await new Promise<void>(resolve => server.listen(socketPath, resolve));
  return {
    references: images.flatMap(({ repoTags }) => repoTags),
    listed: () => listed,
    async close() {
      for (const session of sessions) session.destroy();
      await new Promise(resolve => server.close(resolve));
    },
  };
}
