import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
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
    for (let time = 0; time < 5; time++) await hinted('a swap in the directory that replaced it', swap);

    // Of a file system that is mounted over the directory no event tells.
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', secrets]);
    try {
      await watch.follow([secrets]);
      for (let time = 0; time < 5; time++) await hinted('a swap in what was mounted over it', swap);
    } finally {
      execFileSync('umount', [secrets]);
    }
    await watch.follow([]);
    await rm(secrets, { recursive: true });
  },
);

test('what is ignored gives no hint', limits, async t => {
  const directory = await temporaryDirectory(t);
  const hints = { all: 0, ignoring: 0 };
  const onError = assert.ifError;
  const all = new DirectoryWatch({ depth: 0, onHint: () => hints.all++, onError });
  const ignoring = new DirectoryWatch({
    depth: 0,
    ignored: () => true,
    onHint: () => hints.ignoring++,
    onError,
  });
  for (const watch of [all, ignoring]) {
    cleanUp(t, () => watch.close());
    await watch.follow([directory]);
  }
  await waitUntil(() => hints.all === 1 && hints.ignoring === 1, {
    what: 'the first hints',
    timeoutMs: 5_000,
  });
  for (let count = 1; count <= 5; count++) await writeFile(join(directory, `other-${count}`), '');
  await waitUntil(() => hints.all >= 6, { what: 'the hints of the other watch', timeoutMs: 5_000 });
  assert.equal(hints.ignoring, 1);
});
