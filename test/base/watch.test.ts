import assert from 'node:assert/strict';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DirectoryWatch } from '../../agent/base/watch.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { updateKubeletVolume } from '../sandbox/kubelet-volume.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';

const limits = { timeout: 20_000 };

test(
  'every swap of a mounted volume is a hint, also in a directory that came later or was replaced',
  limits,
  async t => {
    const top = await temporaryDirectory(t);
    const secrets = join(top, 'secrets');
    let hints = 0;
    const watch = new DirectoryWatch({ depth: 1, onHint: () => hints++, onError: assert.ifError });
    cleanUp(t, () => watch.close());
    await watch.follow([secrets]);
    await mkdir(secrets);
    await watch.follow([secrets]);
    const hinted = async (what: string, change: () => Promise<unknown>) => {
      // chokidar begins to watch some time after it is told, so the change is made again until it is seen.
      await waitUntil(
        async () => {
          const before = hints;
          await change();
          await waitUntil(() => hints > before, { what, timeoutMs: 300 });
          return true;
        },
        { what, timeoutMs: 5_000 },
      );
    };
    let number = 0;
    const swap = () => updateKubeletVolume(join(secrets, 'team-a'), { config: String(number++) });
    await hinted('a new volume', swap);
    for (let time = 0; time < 5; time++) await hinted('a swap', swap);

    await rename(secrets, join(top, 'old'));
    await mkdir(secrets);
    await watch.follow([secrets]);
    await hinted('a swap in the directory that replaced the first', swap);
    await watch.follow([]);
    await rm(secrets, { recursive: true });
  },
);

test('what is ignored gives no hint', limits, async t => {
  const directory = await temporaryDirectory(t);
  const seen: string[] = [];
  const ignored = (path: string) => !path.endsWith('config.json');
  const watch = new DirectoryWatch({
    depth: 0,
    ignored,
    onHint: () => seen.push('hint'),
    onError: assert.ifError,
  });
  cleanUp(t, () => watch.close());
  await watch.follow([directory]);
  await waitUntil(
    async () => {
      await writeFile(join(directory, 'other'), String(Math.random()));
      assert.deepEqual(seen, []);
      await writeFile(join(directory, 'config.json'), String(Math.random()));
      await waitUntil(() => seen.length > 0, { what: 'a hint', timeoutMs: 300 });
      return true;
    },
    { what: 'a hint', timeoutMs: 5_000 },
  );
});
