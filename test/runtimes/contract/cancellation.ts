import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { PullFailure } from '../../../agent/runtimes/pull-failure.ts';
import type { Runtime } from '../../../agent/runtimes/runtime.ts';
import { makeLayer } from '../../sandbox/image-layer.ts';
import { waitUntil } from '../../sandbox/wait-until.ts';
import { serveRegistry } from '../fake-registry.ts';
import { type Answer, good, trickle } from '../registry-answers.ts';
import type { TestedRuntime } from '../tested-runtimes.ts';
import { never, startDaemon, startScene, underWay } from './scene.ts';

const limits = { timeout: 60_000 };

/** Pulls that are not wanted any more. */
export function endsPullsThatAreCancelled(tested: TestedRuntime): void {
  test('a pull that is cancelled in the middle of a layer ends its transfer', limits, async t => {
    const { runtime, name, transfers } = await startSlowPull(t, tested, { layer: slowly });
    await cancelPull(runtime, name, transfers);
    await transfersEnd(transfers);
    assert.deepEqual(await runtime.listImages(never), new Map());
  });

  for (const part of ['token', 'manifest', 'layer'] as const)
    test(`a pull that is cancelled while it waits for a ${part} fetches no layer`, limits, async t => {
      const held = Promise.withResolvers<void>();
      const late = part === 'layer' ? slowly : good;
      const hold: Answer = (response, content) => void held.promise.then(() => late(response, content));
      const answers = { layer: slowly, [part]: hold };
      const { runtime, name, transfers } = await startSlowPull(t, tested, answers);
      await cancelPull(runtime, name, transfers);
      if (!tested.capabilities.cancelsRequests) held.resolve();
      await transfersEnd(transfers);
      assert.deepEqual(await runtime.listImages(never), new Map());
    });

  test('of two pulls of an image, the one that is not cancelled goes on', limits, async t => {
    const { runtime, name, transfers } = await startSlowPull(t, tested, { layer: trickle(500_000) });
    let other = Promise.resolve();
    await cancelPull(runtime, name, transfers, async () => {
      other = runtime.pull({ name }, never);
      other.catch(() => {}); // looked at below
      await runtime.listImages(never); // once this is answered, the pull has been taken on, too
    });
    await other;
    assert.ok((await runtime.listImages(never)).has(name));
  });

  test('what is cancelled before it begins fails, and what was cancelled can be pulled', limits, async t => {
    const { registry, runtime, publish, pull } = await startScene(t, tested);
    const { reference } = await publish('team-a/api', [3_000_000]);
    await assert.rejects(pull(reference, AbortSignal.abort()), PullFailure);
    registry.limit(500_000);
    const cancel = new AbortController();
    const cancelled = assert.rejects(pull(reference, cancel.signal), PullFailure);
    const one = underWay(reference);
    await waitUntil(
      async () => {
        const progress = await runtime.progress?.([one], never);
        return (progress?.images.get(one.name)?.bytesDone ?? 0) > 300_000;
      },
      { what: 'some bytes', timeoutMs: 10_000 },
    );
    cancel.abort();
    await cancelled;
    registry.limit(undefined);
    await pull(reference);
    assert.ok((await runtime.listImages(never)).has(reference));
  });
}

/** Sends a layer in 50 seconds. */
const slowly = trickle(10_000);

/** What a registry is sending, or is yet to send. */
type Transfers = ReadonlySet<ServerResponse>;

/** A daemon, and a registry with an image of 5 MB of which some parts are answered so. */
async function startSlowPull(
  t: TestContext,
  tested: TestedRuntime,
  answers: Readonly<Partial<Record<'token' | 'manifest' | 'layer', Answer>>>,
) {
  const { connect } = await startDaemon(t, tested);
  const transfers = new Set<ServerResponse>();
  const watch =
    (answer: Answer): Answer =>
    (response, content) => {
      transfers.add(response);
      response.once('close', () => transfers.delete(response));
      answer(response, content);
    };
  const watched = Object.entries(answers).map(([part, answer]) => [part, watch(answer)]);
  const content = await makeLayer({ seed: 'slow', size: 5_000_000, compression: 'gzip' });
  const { port } = await serveRegistry(t, { app: { ...Object.fromEntries(watched), content } });
  return { runtime: await connect(), name: `127.0.0.1:${port}/app:v1`, transfers };
}

/** Pulls until the transfer begins, does something and cancels; the pull must end at once. */
async function cancelPull(
  runtime: Runtime,
  name: string,
  transfers: Transfers,
  meanwhile: () => Promise<void> = async () => {},
): Promise<void> {
  const cancel = new AbortController();
  const pull = assert.rejects(runtime.pull({ name }, cancel.signal), PullFailure);
  await waitUntil(() => transfers.size > 0, { what: 'the transfer', timeoutMs: 10_000 });
  await meanwhile();
  const cancelledAt = performance.now();
  cancel.abort();
  await pull;
  assert.ok(performance.now() - cancelledAt < 1_000, 'the pull ends at once');
}

/** Waits until nothing is sent, and nothing more is begun either. */
async function transfersEnd(transfers: Transfers): Promise<void> {
  let quietSince = performance.now();
  const isQuiet = () => {
    if (transfers.size > 0) quietSince = performance.now();
    return performance.now() - quietSince > 500;
  };
  await waitUntil(isQuiet, { what: 'the transfer to end', timeoutMs: 5_000 });
}
