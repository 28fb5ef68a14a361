import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { readdir } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import { PullFailure } from '../../../agent/runtimes/pull-failure.ts';
import { cleanUp } from '../../sandbox/cleanup.ts';
import { waitUntil } from '../../sandbox/wait-until.ts';
import { serveRegistry } from '../fake-registry.ts';
import type { Answer } from '../registry-answers.ts';
import type { TestedRuntime } from '../tested-runtimes.ts';
import { startDaemon } from './scene.ts';

const limits = { timeout: 120_000 };
const atOnce = 20;
/** What is used for the first time may stay, also in the daemon; one in a hundred pulls would be more. */
const slack = 5;

/** What pulls hold when they have ended. It is counted for this whole process: no other test may run at the time. */
export function leavesNothingBehind(tested: TestedRuntime): void {
  test('a thousand pulls leave nothing behind', limits, async t => {
    const { runtime, hostOf, holdsNothingAfter } = await start(t, tested);
    const name = `${await hostOf(undefined)}/app:v1`;
    await holdsNothingAfter(1_000 / atOnce, signal =>
      Promise.all(Array.from({ length: atOnce }, () => runtime.pull({ name }, signal))),
    );
  });

  test('three hundred cancelled pulls leave nothing behind', limits, async t => {
    const { runtime, hostOf, holdsNothingAfter } = await start(t, tested);
    const open = new Set<ServerResponse>();
    const host = await hostOf(response => {
      open.add(response);
      response.once('close', () => open.delete(response));
    });
    /** What waits for its answer also after the cancellation is broken off. */
    const isOver = () => {
      for (const response of open) response.destroy();
      return open.size === 0;
    };
    await holdsNothingAfter(300 / atOnce, async signal => {
      const cancel = new AbortController();
      const pulls = Array.from({ length: atOnce }, (_, number) =>
        runtime.pull({ name: `${host}/app:v${number}` }, AbortSignal.any([signal, cancel.signal])),
      );
      const ended = Promise.all(pulls.map(pull => assert.rejects(pull, PullFailure)));
      await waitUntil(() => open.size === atOnce, { what: 'all transfers', timeoutMs: 10_000 });
      cancel.abort();
      await ended;
      await waitUntil(isOver, { what: 'the end of all transfers', timeoutMs: 10_000 });
    });
  });
}

async function start(t: TestContext, tested: TestedRuntime) {
  const { daemon, connect } = await startDaemon(t, tested);
  const runtime = await connect();
  /** A registry whose manifests are answered so. */
  const hostOf = async (manifest: Answer | undefined) => {
    const { port } = await serveRegistry(t, { app: manifest ? { manifest } : {} });
    return `127.0.0.1:${port}`;
  };
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on('warning', onWarning);
  cleanUp(t, () => process.off('warning', onWarning));

  /** Repeats something that is to hold nothing in the end, here and in the daemon. */
  async function holdsNothingAfter(times: number, round: (signal: AbortSignal) => Promise<unknown>) {
    const agent = new AbortController();
    const before = await countHeld(daemon.pid());
    for (let time = 0; time < times; time++) await round(agent.signal);
    let after = before;
    const isAsBefore = async () => {
      after = await countHeld(daemon.pid());
      return Object.entries(after).every(([what, count]) => count <= before[what as keyof Held] + slack);
    };
    // Idle connections are kept for some seconds.
    await waitUntil(isAsBefore, { what: 'little more than before', timeoutMs: 20_000 }).catch(() =>
      assert.fail(`${JSON.stringify(before)}, and then ${JSON.stringify(after)}`),
    );
    assert.equal(getEventListeners(agent.signal, 'abort').length, 0);
    assert.deepEqual(warnings, []);
  }
  return { runtime, hostOf, holdsNothingAfter };
}

/** What is held by this process and by the daemon. */
type Held = {
  readonly files: number;
  readonly timers: number;
  readonly resources: number;
  readonly filesOfDaemon: number;
};

async function countHeld(daemon: number | undefined): Promise<Held> {
  const resources = process.getActiveResourcesInfo();
  const files = async (pid: number | string | undefined) => (await readdir(`/proc/${pid}/fd`)).length;
  return {
    files: await files('self'),
    timers: resources.filter(name => name === 'Timeout').length,
    resources: resources.length,
    filesOfDaemon: await files(daemon),
  };
}
