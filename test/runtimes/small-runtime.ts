import { createServer } from 'node:http2';
import type { TestContext } from 'node:test';
import type { ServiceImpl } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { ImageService, RuntimeService } from '../../agent/runtimes/gen/cri_pb.ts';
import { cleanUp } from '../sandbox/cleanup.ts';

/** What the small runtime answers; what is not given it answers as a runtime without any image. */
export type SmallRuntimeAnswers = Partial<ServiceImpl<typeof ImageService>> &
  Partial<ServiceImpl<typeof RuntimeService>> & {
    /** After how many milliseconds it ends every connection; it does not if that is not given. */
    readonly hangsUpAfter?: number;
  };

/**
 * Serves CRI v1 on a socket during a test, for what no real runtime does when it is asked to: calls that fail, hang, or
 * are to be counted. Returns what ends it before the test does.
 */
export async function serveRuntime(
  test: TestContext,
  socketPath: string,
  { hangsUpAfter, ...answers }: SmallRuntimeAnswers = {},
): Promise<() => void> {
  const all = {
    version: () => ({ runtimeName: 'small', runtimeVersion: '1.0' }),
    listPodSandbox: () => ({}),
    listImages: () => ({}),
    imageFsInfo: () => ({ imageFilesystems: [{ fsId: { mountpoint: '/' } }] }),
    pullImage: () => ({}),
    ...answers,
  };
  const routes = connectNodeAdapter({
    connect: false,
    routes: router => router.service(RuntimeService, all).service(ImageService, all),
  });
  const server = createServer(routes);
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', session => {
    sessions.add(session);
    if (hangsUpAfter !== undefined) setTimeout(() => session.destroy(), hangsUpAfter);
    session.once('close', () => sessions.delete(session));
  });
  await new Promise<void>(resolve => server.listen(socketPath, resolve));
  const end = () => {
    for (const session of sessions) session.destroy();
    server.close();
  };
  cleanUp(test, end);
  return end;
}
