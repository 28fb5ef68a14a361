import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Failure } from '../../../agent/base/failure.ts';
import { PullFailure } from '../../../agent/runtimes/pull-failure.ts';
import { waitUntil } from '../../sandbox/wait-until.ts';
import type { TestedRuntime } from '../tested-runtimes.ts';
import { credential, never, startScene, underWay } from './scene.ts';

const limits = { timeout: 90_000 };

/** A daemon that dies or hangs. */
export function tellsWhenItsDaemonIsLost(tested: TestedRuntime): void {
  test('a daemon that is killed is told, and started again it pulls to the end', limits, async t => {
    const { registry, daemon, runtime, connect, name, pull } = await startInMidPull(t, tested);
    const idle = await connect();
    await daemon.kill('SIGKILL');
    assert.equal((await failureOf(pull)).kind, 'runtime');
    for (const lost of [runtime, idle]) {
      assert.notEqual(await lost.closed, '');
      assert.equal((await failureOf(lost.pull({ name }, never))).kind, 'runtime');
      await assert.rejects(lost.listImages(never), Failure);
    }
    await assert.rejects(connect(), Failure);

    await daemon.start();
    registry.limit(undefined);
    const again = await connect();
    await again.pull({ name, credential }, never);
    assert.ok((await again.listImages(never)).has(name));
  });

  test('a daemon that is stopped ends its pulls and its connections', limits, async t => {
    const { daemon, runtime, pull } = await startInMidPull(t, tested);
    const ended = failureOf(pull);
    await daemon.stop();
    assert.notEqual((await ended).kind, 'auth');
    assert.notEqual(await runtime.closed, '');
  });

  test('a daemon that hangs is told within 15 seconds, and pulls when it goes on', limits, async t => {
    const { registry, daemon, runtime, connect, name, pull } = await startInMidPull(t, tested);
    const hangsSince = performance.now();
    await daemon.kill('SIGSTOP');
    assert.equal((await failureOf(pull)).kind, 'runtime');
    assert.match(await runtime.closed, /does not answer/);
    const seconds = (performance.now() - hangsSince) / 1_000;
    assert.ok(seconds > 5 && seconds < 15, `${seconds} s`);

    await daemon.kill('SIGCONT');
    registry.limit(undefined);
    const again = await connect();
    await again.pull({ name, credential }, never);
    assert.ok((await again.listImages(never)).has(name));
  });

  test('a daemon that stands still for a moment only is no loss', limits, async t => {
    const { registry, daemon, runtime, name, pull } = await startInMidPull(t, tested);
    await daemon.kill('SIGSTOP');
    await delay(4_000); // shorter than what a daemon is given; there is nothing to be seen meanwhile
    await daemon.kill('SIGCONT');
    registry.limit(undefined);
    await pull;
    assert.ok((await runtime.listImages(never)).has(name));
  });
}

/** A pull in the middle of its bytes. */
async function startInMidPull(t: TestContext, tested: TestedRuntime) {
  const scene = await startScene(t, tested);
  const { reference: name } = await scene.publish('team-a/api', [8_000_000]);
  scene.registry.limit(500_000);
  const pull = scene.pull(name);
  pull.catch(() => {}); // looked at where it matters
  const one = underWay(name);
  await waitUntil(
    async () => ((await scene.runtime.progress?.([one], never))?.images.get(name)?.bytesDone ?? 0) > 200_000,
    { what: 'some bytes', timeoutMs: 10_000 },
  );
  return { ...scene, name, pull };
}

async function failureOf(pull: Promise<void>): Promise<PullFailure> {
  const failure = await pull.catch(error => error);
  assert.ok(failure instanceof PullFailure, `${failure}`);
  return failure;
}
