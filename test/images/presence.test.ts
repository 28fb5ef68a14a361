import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { listedImage } from '../runtimes/listed-image.ts';
import { serveRuntime } from '../runtimes/small-runtime.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';
import { configOf, startFlow } from './flows.ts';

test('a look at a thousand images on a node with a thousand is one call', { timeout: 60_000 }, async t => {
  const hostRoot = await temporaryDirectory(t);
  const images = Array.from({ length: 1_000 }, (_, number) => listedImage(number));
  const calls = { listImages: 0, pullImage: 0, imageFsInfo: 0, version: 0 };
  const counted = <Answer>(name: keyof typeof calls, answer: Answer) => {
    return () => {
      calls[name]++;
      return answer;
    };
  };
  await serveRuntime(t, join(hostRoot, 'socket'), {
    listImages: counted('listImages', { images }),
    pullImage: counted('pullImage', {}),
    imageFsInfo: counted('imageFsInfo', { imageFilesystems: [{ fsId: { mountpoint: '/' } }] }),
    version: counted('version', { runtimeName: 'small', runtimeVersion: '1.0' }),
  });
  const registry = { host: 'registry.example.com' };
  const { flow, changes, login } = startFlow(t, { hostRoot, registry }, 'unix:///socket');
  const until = (what: string, condition: () => boolean) => waitUntil(condition, { what, timeoutMs: 20_000 });
  const config = configOf(
    images.map(({ repoTags: [tagged], repoDigests: [digested] }, number) =>
      number % 10 ? tagged : digested,
    ),
  );
  flow.setConfig(config);
  login();
  await until('all to be present', () => flow.state.images.every(({ state }) => state === 'present'));
  changes.length = 0;
  // A look begins only when the one before was taken over.
  for (let pass = 1; pass <= 6; pass++) {
    const before = calls.listImages;
    flow.setConfig({ ...config });
    await until('another look', () => calls.listImages > before);
  }
  const { listImages, ...others } = calls;
  assert.deepEqual(others, { pullImage: 0, imageFsInfo: 1, version: 1 });
  // The connection, the config and the credentials were reasons to look before.
  assert.ok(listImages >= 7 && listImages <= 9, `${listImages}`);
  assert.deepEqual(changes, [], 'and nothing is told, because nothing has changed');
});
