import assert from 'node:assert/strict';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { type TestContext, test } from 'node:test';
import { listedImage } from '../runtimes/listed-image.ts';
import { serveRuntime } from '../runtimes/small-runtime.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { configOf, startFlow } from './flows.ts';

/** How often this process woke up so far. Waiting for something to happen by asking for it would itself be heard here. */
const wakeUps = () => performance.nodeTiming.uvMetricsInfo.loopCount;

/** How often a flow that has nothing to do wakes up from one look to the next, the looks included; the least of a few. */
async function wakeUpsPerLook(t: TestContext, resync: string, keepFree: string): Promise<number> {
  const hostRoot = await temporaryDirectory(t);
  const images = [listedImage(1), listedImage(2)];
  const enough = Promise.withResolvers<void>();
  const seen: number[] = [];
  await serveRuntime(t, join(hostRoot, 'socket'), {
    listImages: () => {
      if (seen.push(wakeUps()) === 4) enough.resolve();
      return { images };
    },
  });
  const { flow, login } = startFlow(t, { hostRoot, registry: { host: 'r.io' } }, 'unix:///socket');
  login();
  const names = images.flatMap(({ repoTags }) => repoTags);
  flow.setConfig(configOf(names, { resync, maxIoPressure: '99.9%' }, keepFree));
  await enough.promise;
  // The first looks come with the connection, the config and the credentials.
  return Math.min(...seen.slice(2).map((count, index) => count - (seen[index + 1] ?? 0)));
}

for (const [what, keepFree] of [
  ['all is there', '1'],
  ['all is there and the disk is low', '1000Ti'],
] as const)
  test(`when ${what}, nothing wakes the agent up between two looks`, { timeout: 60_000 }, async t => {
    let [often, seldom] = [0, 0];
    // One after the other: each is over before the next begins.
    await t.test('a look every second', async t => {
      often = await wakeUpsPerLook(t, '1s', keepFree);
    });
    await t.test('a look every five', async t => {
      seldom = await wakeUpsPerLook(t, '5s', keepFree);
    });
    // Something that happens every second would wake it up some thirty times; a busy machine does so a few times.
    assert.ok(seldom <= often + 12, `${often} wake-ups for a look every second, ${seldom} every five`);
  });
