import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { ImageState } from '../../agent/images/image-state.ts';
import { PullQueue } from '../../agent/images/pull-queue.ts';
import { PullFailure, type PullFailureKind } from '../../agent/runtimes/pull-failure.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { waitUntil } from '../sandbox/wait-until.ts';
import { wanted } from './listed.ts';

const limits = { timeout: 10_000 };

type Pull = {
  readonly image: string;
  readonly end: (kind?: PullFailureKind) => void;
  readonly signal: AbortSignal;
};

/** A queue whose pulls end when the test says so. */
function startQueue(
  t: TestContext,
  bounds = { concurrency: 2, perRegistry: 2, retry: { initial: 1, max: 1 } },
) {
  const pulls: Pull[] = [];
  const changes: ImageState[] = [];
  const queue = new PullQueue({
    limits: () => bounds,
    onChange: image => changes.push(image),
    pull: (wanted, signal) =>
      new Promise((resolve, reject) => {
        const end = (kind?: PullFailureKind) => {
          pulls.splice(pulls.indexOf(pull), 1);
          if (kind) reject(new PullFailure(kind, 'no'));
          else resolve();
        };
        const pull = { image: wanted.image, end, signal };
        pulls.push(pull);
      }),
  });
  cleanUp(t, async () => {
    const stopped = queue.stop();
    while (pulls.length > 0) pulls[0]?.end();
    await stopped;
  });
  const names = () => pulls.map(({ image }) => image);
  const end = (image: string, kind?: PullFailureKind) => pulls.find(pull => pull.image === image)?.end(kind);
  const state = (image: string) => queue.images.find(({ wanted }) => wanted.image === image);
  const until = (what: string, condition: () => boolean) =>
    waitUntil(condition, { what, timeoutMs: 3_000, intervalMs: 1 });
  return { queue, pulls, changes, names, end, state, until, bounds };
}

test(
  'the highest priority is pulled first, then the order of the list, within the limits',
  limits,
  async t => {
    const { queue, names, end, until } = startQueue(t);
    queue.setList(wanted('a:1', 'b:1', { image: 'c:1', priority: 1 }, 'd:1'));
    assert.deepEqual(names(), [], 'not before it is known what is there');
    queue.setPresent(new Set(['docker.io/library/b:1']));
    assert.deepEqual(names(), [], 'not before the queue is open');
    queue.open();
    assert.deepEqual(names(), ['c:1', 'a:1']);
    end('c:1');
    await until('the next', () => names().includes('d:1'));
    assert.deepEqual(
      queue.images.map(({ state }) => state),
      ['present', 'pulling', 'present', 'pulling'],
    );
  },
);

test('the limit of one registry holds up no other one', limits, async t => {
  const { queue, names } = startQueue(t, { concurrency: 3, perRegistry: 1, retry: { initial: 1, max: 1 } });
  queue.setList(wanted('x.io/a:1', 'x.io/b:1', 'y.io/a:1', 'z.io/a:1'));
  queue.setPresent(new Set());
  queue.open();
  assert.deepEqual(names(), ['x.io/a:1', 'y.io/a:1', 'z.io/a:1']);
});

test('never more than the limits run, whatever fails and while the limits change', limits, async () => {
  const action = fc.record({
    end: fc.nat(9),
    kind: fc.constantFrom(
      undefined,
      'auth',
      'unknown',
      'rate-limited',
      'runtime',
      'not-found',
      'stalled',
    ) as fc.Arbitrary<PullFailureKind | undefined>,
    concurrency: fc.integer({ min: 1, max: 4 }),
    perRegistry: fc.integer({ min: 1, max: 3 }),
    drop: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 15 }), async actions => {
      const all = ['x.io/a:1', 'x.io/b:1', 'y.io/a:1', 'y.io/b', 'z.io/a:1', 'z.io/b:1'];
      const bounds = { concurrency: 2, perRegistry: 1, retry: { initial: 1, max: 1 } };
      const running = new Map<() => void, string>();
      const tooMany: string[] = [];
      const queue = new PullQueue({
        limits: () => bounds,
        onChange: () => {},
        pull: wanted =>
          new Promise<void>((resolve, reject) => {
            const { registry } = wanted.reference;
            const others = [...running.values()].filter(host => host === registry).length;
            // Noted, because an error thrown here would only look like a failed pull.
            if (running.size >= bounds.concurrency || others >= bounds.perRegistry) tooMany.push(registry);
            const end = () => {
              running.delete(end);
              const kind = kinds.shift();
              if (kind) reject(new PullFailure(kind, 'no'));
              else resolve();
            };
            running.set(end, registry);
          }),
      });
      const kinds: (PullFailureKind | undefined)[] = [];
      queue.setList(wanted(...all));
      queue.setPresent(new Set());
      queue.open();
      for (const { end, kind, drop, ...change } of actions) {
        Object.assign(bounds, change);
        kinds.push(kind);
        [...running.keys()][end % Math.max(1, running.size)]?.();
        queue.setList(wanted(...(drop ? all.slice(2) : all)));
        queue.setPresent(new Set());
        queue.credentialsChanged();
        await new Promise(resolve => setImmediate(resolve));
      }
      const stopped = queue.stop();
      for (const end of [...running.keys()]) end();
      await stopped;
      assert.deepEqual(tooMany, []);
      assert.equal(queue.busy, false);
    }),
    { numRuns: 200 },
  );
});

test(
  'a failure for want of credentials waits for them, and goes again at once when they come',
  limits,
  async t => {
    const { queue, names, end, state, until } = startQueue(t);
    queue.setList(wanted('a:1', 'b:1', 'c:1'));
    queue.setPresent(new Set());
    queue.open();
    end('a:1', 'auth');
    await until('the failure', () => state('a:1')?.state === 'failed');
    assert.equal(state('a:1')?.nextAttemptAt, null);
    assert.deepEqual(names(), ['b:1', 'c:1'], 'the others go on');
    end('b:1');
    await until('b', () => state('b:1')?.state === 'present');
    assert.deepEqual(names(), ['c:1'], 'and it alone waits');
    queue.credentialsChanged();
    assert.deepEqual(names(), ['c:1', 'a:1']);
    assert.equal(state('a:1')?.attempts, 2);
  },
);

test('what fails otherwise is tried again by itself, until it is there', limits, async t => {
  const { queue, end, state, until } = startQueue(t);
  queue.setList(wanted('a:1'));
  queue.setPresent(new Set());
  queue.open();
  for (let attempt = 1; attempt <= 5; attempt++) {
    await until('the attempt', () => state('a:1')?.state === 'pulling' && state('a:1')?.attempts === attempt);
    end('a:1', 'unreachable');
  }
  await until('the last attempt', () => state('a:1')?.attempts === 6);
  end('a:1');
  await until('the image', () => state('a:1')?.state === 'present');
  assert.equal(state('a:1')?.failure, null);
});

test('a registry that asks to be left alone is, and gives its slot to others', limits, async t => {
  const { queue, names, end, state, until } = startQueue(t, {
    concurrency: 1,
    perRegistry: 1,
    retry: { initial: 1, max: 1 },
  });
  queue.setList(wanted('x.io/a:1', 'x.io/b:1', 'y.io/a:1'));
  queue.setPresent(new Set());
  queue.open();
  end('x.io/a:1', 'rate-limited');
  await until('the other registry', () => names().includes('y.io/a:1'));
  end('y.io/a:1');
  await until('the other image', () => state('y.io/a:1')?.state === 'present');
  assert.deepEqual(names(), []);
  assert.ok((state('x.io/a:1')?.nextAttemptAt?.getTime() ?? 0) > Date.now() + 10_000);
});

test('what leaves the list is cancelled, and holds its slot until it has ended', limits, async t => {
  const { queue, pulls, names, until } = startQueue(t, {
    concurrency: 1,
    perRegistry: 1,
    retry: { initial: 1, max: 1 },
  });
  queue.setList(wanted('a:1', 'b:1'));
  queue.setPresent(new Set());
  queue.open();
  const [first] = pulls;
  queue.setList(wanted('b:1'));
  queue.setPresent(new Set());
  assert.equal(first?.signal.aborted, true);
  assert.deepEqual(names(), ['a:1']);
  first?.end('unknown');
  await until('the next', () => names().includes('b:1'));
  assert.deepEqual(
    queue.images.map(({ wanted }) => wanted.image),
    ['b:1'],
  );
});

test('an image that is gone from the node is pulled again', limits, async t => {
  const { queue, names, state } = startQueue(t);
  const present = new Set(['docker.io/library/a:1']);
  queue.setList(wanted('a:1'));
  queue.setPresent(present);
  queue.open();
  assert.equal(state('a:1')?.state, 'present');
  assert.deepEqual(names(), []);
  queue.setPresent(new Set());
  assert.deepEqual(names(), ['a:1']);
  assert.equal(state('a:1')?.warm, false);
});

test(
  'with the policy Always the registry is asked once and at every resync, and the image stays warm',
  limits,
  async t => {
    const { queue, names, end, state, until } = startQueue(t);
    const present = new Set(['docker.io/library/a:latest']);
    queue.setList(wanted('a'));
    queue.setPresent(present);
    queue.open();
    assert.deepEqual(names(), ['a']);
    assert.equal(state('a')?.warm, false, 'what is there may be old');
    end('a');
    await until('the answer', () => state('a')?.state === 'present');
    queue.setPresent(present);
    assert.deepEqual(names(), []);
    queue.resync();
    queue.setPresent(present);
    assert.deepEqual(names(), ['a']);
    assert.equal(state('a')?.warm, true);
    end('a', 'unreachable');
    await until('the failure', () => state('a')?.failure !== null);
    assert.equal(state('a')?.warm, true);
  },
);

test('when the runtime is lost everything waits, and goes on at once when it is back', limits, async t => {
  const { queue, pulls, names, state, until } = startQueue(t, {
    concurrency: 2,
    perRegistry: 2,
    retry: { initial: 60_000, max: 60_000 },
  });
  queue.setList(wanted('a:1', 'b:1', 'c:1'));
  queue.setPresent(new Set());
  queue.open();
  queue.close(new PullFailure('runtime', 'gone'));
  for (const pull of [...pulls]) pull.end('unknown');
  await until('the wait', () => queue.images.every(image => image.state === 'waiting'));
  assert.deepEqual([names(), state('a:1')?.failure?.kind], [[], 'runtime']);
  queue.open();
  assert.deepEqual(names(), ['a:1', 'b:1']);
});

test('what was stopped for want of room waits its time, also when there is room again', limits, async t => {
  const { queue, pulls, names, state, until } = startQueue(t, {
    concurrency: 1,
    perRegistry: 1,
    retry: { initial: 1e9, max: 1e9 },
  });
  queue.setList(wanted('a:1', 'b:1'));
  queue.setPresent(new Set());
  queue.open();
  queue.close(new PullFailure('disk', 'low'));
  pulls[0]?.end('unknown');
  await until('the wait', () => state('a:1')?.state === 'waiting');
  queue.open();
  assert.deepEqual(names(), ['b:1'], 'and what needs less may fit');
});

test('progress never goes back, and a pull of which no byte comes any more is stalled', limits, async t => {
  const { queue, pulls, state, until } = startQueue(t);
  queue.setList(wanted('a:1'));
  queue.setPresent(new Set());
  queue.open();
  const name = 'docker.io/library/a:1';
  queue.setProgress({ images: new Map([[name, { bytesDone: 50, bytesTotal: 100 }]]), otherBytes: 0 });
  queue.setProgress({ images: new Map([[name, { bytesDone: 40, bytesTotal: 100 }]]), otherBytes: 0 });
  assert.equal(state('a:1')?.bytesDone, 50);
  queue.setProgress({ images: new Map([[name, { bytesDone: 10, bytesTotal: 200 }]]), otherBytes: 0 });
  assert.equal(state('a:1')?.bytesDone, 10, 'another manifest begins where it is');
  queue.failStalled(60_000);
  assert.equal(pulls[0]?.signal.aborted, false);
  await until('some time to pass', () => Date.now() > (state('a:1')?.startedAt?.getTime() ?? 0) + 5);
  queue.failStalled(1);
  assert.equal(pulls[0]?.signal.aborted, true);
  pulls[0]?.end('unknown');
  await until('the failure', () => state('a:1')?.failure?.kind === 'stalled');
});

test('a pull that has all its bytes is being unpacked, and no stall', limits, async t => {
  const { queue, pulls, state, until } = startQueue(t);
  queue.setList(wanted('a:1'));
  queue.setPresent(new Set());
  queue.open();
  queue.setProgress({
    images: new Map([['docker.io/library/a:1', { bytesDone: 100, bytesTotal: 100 }]]),
    otherBytes: 0,
  });
  await until('some time to pass', () => Date.now() > (state('a:1')?.startedAt?.getTime() ?? 0) + 5);
  queue.failStalled(1);
  assert.equal(pulls[0]?.signal.aborted, false);
});

test('a pull that awaits no bytes is no stall, until it awaits some again', limits, async t => {
  const { queue, pulls, state, until } = startQueue(t);
  queue.setList(wanted('a:1'));
  queue.setPresent(new Set());
  queue.open();
  const sinceStart = () => Date.now() - (state('a:1')?.startedAt?.getTime() ?? 0);
  const measure = (awaitsBytes: boolean) => {
    const measured = { bytesDone: 0, bytesTotal: null, awaitsBytes };
    queue.setProgress({ images: new Map([['docker.io/library/a:1', measured]]), otherBytes: 0 });
    queue.failStalled(40);
  };
  await until('some time to pass', () => sinceStart() > 50);
  measure(false);
  assert.equal(pulls[0]?.signal.aborted, false);
  await until('more time to pass', () => sinceStart() > 150);
  measure(true);
  assert.equal(pulls[0]?.signal.aborted, true);
});

test('a pull of which nothing ever comes is stalled, too', limits, async t => {
  const { queue, pulls, state, until } = startQueue(t);
  queue.setList(wanted('a:1'));
  queue.setPresent(new Set());
  queue.open();
  await until('some time to pass', () => Date.now() > (state('a:1')?.startedAt?.getTime() ?? 0) + 5);
  queue.failStalled(1);
  assert.equal(pulls[0]?.signal.aborted, true);
});

test('a pull whose size is not known is no stall while bytes come that may be its own', limits, async t => {
  const { queue, pulls, state, until } = startQueue(t);
  queue.setList(wanted('a:1'));
  queue.setPresent(new Set());
  queue.open();
  const sinceStart = () => Date.now() - (state('a:1')?.startedAt?.getTime() ?? 0);
  await until('some time to pass', () => sinceStart() > 50);
  queue.setProgress({ images: new Map(), otherBytes: 1_000 });
  queue.failStalled(40);
  assert.equal(pulls[0]?.signal.aborted, false);
  await until('more time to pass', () => sinceStart() > 150);
  queue.setProgress({ images: new Map(), otherBytes: 1_000 });
  queue.failStalled(40);
  assert.equal(pulls[0]?.signal.aborted, true, 'they no longer come');
});

test(
  'a clock of the node that is set ends no pull, puts none off and hides no image that is gone',
  limits,
  async t => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const retry = { initial: 50, max: 50 };
    const { queue, pulls, names, end, state, until } = startQueue(t, {
      concurrency: 2,
      perRegistry: 2,
      retry,
    });
    const hours = (count: number) => t.mock.timers.setTime(Date.now() + count * 3_600_000);
    queue.setList(wanted('a:1', 'b:1'));
    queue.setPresent(new Set());
    queue.open();
    hours(10);
    queue.failStalled(60_000);
    assert.deepEqual(
      pulls.map(({ signal }) => signal.aborted),
      [false, false],
    );
    end('b:1', 'unreachable');
    await until('the failure', () => state('b:1')?.state === 'failed');
    hours(-20);
    await until('the next attempt', () => names().includes('b:1'));
    end('a:1');
    await until('the image', () => state('a:1')?.state === 'present');
    assert.ok((state('a:1')?.durationMs ?? -1) >= 0, 'it took no negative time');
    hours(-1);
    queue.setPresent(new Set());
    assert.equal(state('a:1')?.warm, false);
  },
);

test('what held its slot for nothing stands behind all others, whatever its priority', limits, async t => {
  const retry = { initial: 1, max: 1 };
  const { queue, names, end, state, until } = startQueue(t, { concurrency: 2, perRegistry: 2, retry });
  const first = ['dead.io/a:1', 'dead.io/b:1'];
  queue.setList(wanted(...first.map(image => ({ image, priority: 9 })), 'good.io/c:1', 'good.io/d:1'));
  queue.setPresent(new Set());
  queue.open();
  assert.deepEqual(names(), first);
  for (const image of first) end(image, 'stalled');
  await until('the others', () => names().includes('good.io/d:1'));
  assert.deepEqual(names(), ['good.io/c:1', 'good.io/d:1']);
  end('good.io/c:1');
  await until('the next attempt', () => state('dead.io/a:1')?.attempts === 2);
});

test('how often an image failed before says nothing of the runtime', limits, async t => {
  const retry = { initial: 1, max: 1 };
  const { queue, names, end, state, until } = startQueue(t, { concurrency: 2, perRegistry: 2, retry });
  queue.setList(wanted('a:1'));
  queue.setPresent(new Set());
  queue.open();
  for (let attempt = 1; attempt <= 5; attempt++) {
    await until('the attempt', () => names().length === 1);
    end('a:1', 'unreachable');
    await until('the failure', () => names().length === 0);
  }
  await until('the attempt', () => names().length === 1);
  queue.close();
  end('a:1', 'runtime');
  await until('the loss', () => state('a:1')?.failure?.kind === 'runtime');
  retry.initial = retry.max = 60_000;
  queue.open();
  assert.deepEqual(names(), ['a:1']);
});

test(
  'what was under way when the runtime went away twice waits: it may be what the runtime dies of',
  limits,
  async t => {
    const retry = { initial: 60_000, max: 60_000 };
    const { queue, names, end, state, until } = startQueue(t, { concurrency: 2, perRegistry: 2, retry });
    queue.setList(wanted('a:1', 'b:1'));
    queue.setPresent(new Set());
    const die = async (...images: readonly string[]) => {
      queue.open();
      for (const image of images) end(image, 'runtime');
      await until('the end', () => images.every(image => state(image)?.state === 'waiting'));
      queue.close();
    };
    await die('a:1');
    queue.open();
    assert.deepEqual(names(), ['b:1', 'a:1'], 'once may be chance');
    await die('a:1');
    queue.open();
    assert.deepEqual(names(), ['b:1']);
    assert.ok(state('a:1')?.nextAttemptAt, 'it is tried again later');
  },
);

test(
  'a pull that is not admitted never began, and goes on when the queue is opened again',
  limits,
  async t => {
    let isBusy = true;
    const [asked, told]: [string[], string[]] = [[], []];
    const queue = new PullQueue({
      limits: () => ({ concurrency: 1, perRegistry: 1, retry: { initial: 60_000, max: 60_000 } }),
      onChange: ({ state }) => told.push(state),
      admit: async () => !isBusy,
      pull: async ({ image }) => void asked.push(image),
    });
    cleanUp(t, () => queue.stop());
    queue.setList(wanted('a'));
    queue.setPresent(new Set(['docker.io/library/a:latest']));
    queue.open();
    await waitUntil(() => !queue.busy, { what: 'the end', timeoutMs: 2_000 });
    assert.deepEqual([asked, told, queue.hasDue], [[], [], true], 'and it is not asked for over and over');
    isBusy = false;
    queue.open();
    await waitUntil(() => queue.images[0]?.state === 'present', { what: 'the image', timeoutMs: 2_000 });
    assert.deepEqual(
      [asked, told, queue.images[0]?.attempts, queue.hasDue],
      [['a'], ['pulling', 'present'], 1, false],
    );
  },
);

test(
  'an image that was not found is tried again with new credentials, which may show it',
  limits,
  async t => {
    const { queue, names, end, state, until } = startQueue(t);
    queue.setList(wanted('a:1'));
    queue.setPresent(new Set());
    queue.open();
    end('a:1', 'not-found');
    await until('the failure', () => state('a:1')?.state === 'failed');
    assert.deepEqual(names(), []);
    queue.credentialsChanged();
    assert.deepEqual(names(), ['a:1']);
  },
);

test('an answer that is older than the end of a pull does not make its image gone', limits, async t => {
  const { queue, names, end, state, until } = startQueue(t);
  queue.setList(wanted('a:1'));
  queue.setPresent(new Set());
  queue.open();
  const asked = performance.now();
  end('a:1');
  await until('the image', () => state('a:1')?.state === 'present');
  queue.setPresent(new Set(), asked);
  assert.deepEqual([names(), state('a:1')?.warm], [[], true]);
  await until('some time to pass', () => performance.now() > asked + 5);
  queue.setPresent(new Set());
  assert.deepEqual(names(), ['a:1']);
});

/** A queue of one image that is present, whose policy `Always` asks the registry. */
function startAlways(t: TestContext) {
  const retry = { initial: 60_000, max: 60_000 };
  const started = startQueue(t, { concurrency: 1, perRegistry: 1, retry });
  const present = new Set(['docker.io/library/a:latest']);
  started.queue.setList(wanted('a'));
  started.queue.setPresent(present);
  started.queue.open();
  return { ...started, present };
}

test('what failed for a policy that no longer asks is forgotten once the image is seen', limits, async t => {
  const { queue, end, state, until, present } = startAlways(t);
  end('a');
  await until('the image', () => state('a')?.state === 'present');
  queue.resync();
  queue.setPresent(present);
  end('a', 'unreachable');
  await until('the failure', () => state('a')?.failure?.kind === 'unreachable');
  queue.setList(wanted({ image: 'a', pullPolicy: 'IfNotPresent' }));
  queue.setPresent(present);
  assert.deepEqual([state('a')?.failure, state('a')?.nextAttemptAt], [null, null]);
});

test('a policy that no longer asks the registry is content with what is there', limits, async t => {
  const { queue, end, state, until, present } = startAlways(t);
  end('a', 'auth');
  await until('the failure', () => state('a')?.state === 'failed');
  queue.setList(wanted({ image: 'a', pullPolicy: 'IfNotPresent' }));
  queue.setPresent(present);
  assert.deepEqual([state('a')?.state, state('a')?.warm], ['present', true]);
});

test('what left the list is told of once more and then no more, however its pull ends', limits, async t => {
  const { queue, pulls, changes, until } = startQueue(t);
  queue.setList(wanted('a:1', 'b:1', 'c:1', 'd:1'));
  queue.setPresent(new Set(['docker.io/library/d:1']));
  queue.open();
  const [a, b] = [...pulls];
  changes.splice(0);
  queue.setList([]);
  assert.deepEqual(
    changes.splice(0).map(({ wanted, state, listed }) => [wanted.image, state, listed]),
    [
      ['a:1', 'pulling', false],
      ['b:1', 'pulling', false],
      ['c:1', 'waiting', false],
      ['d:1', 'present', false],
    ],
  );
  a?.end();
  b?.end('unreachable');
  await until('both to have ended', () => !queue.busy);
  assert.deepEqual(changes, []);
});

test('while a change is told, the list is whole', limits, async t => {
  const seen: number[] = [];
  const queue: PullQueue = new PullQueue({
    limits: () => ({ concurrency: 9, perRegistry: 9, retry: { initial: 60_000, max: 60_000 } }),
    onChange: () => seen.push(queue.images.length),
    pull: () => Promise.reject(new PullFailure('auth', 'no')),
  });
  cleanUp(t, () => queue.stop());
  queue.setList(wanted('a:1', 'b:1', 'c:1'));
  queue.setPresent(new Set());
  queue.open();
  await waitUntil(() => queue.images.every(({ failure }) => failure), { what: 'them', timeoutMs: 2_000 });
  queue.setList(wanted('a:1', 'b:1', 'd:1'));
  assert.deepEqual(new Set(seen), new Set([3]));
});

test('a new list tries again what waits for a change, and asks nothing of what is there', limits, async t => {
  const { queue, names, end, state, until } = startQueue(t);
  const present = new Set(['docker.io/library/a:latest']);
  queue.setList(wanted('a', 'b:1'));
  queue.setPresent(present);
  queue.open();
  end('a');
  end('b:1', 'not-found');
  await until('both answers', () => state('a')?.state === 'present' && state('b:1')?.state === 'failed');
  queue.setList(wanted('a', 'b:1'));
  queue.setPresent(present);
  assert.deepEqual(names(), ['b:1']);
});

test('an image whose policy becomes Always is asked for once', limits, async t => {
  const { queue, names, end, state, until } = startQueue(t);
  const present = new Set(['docker.io/library/a:1']);
  const withPolicy = (pullPolicy: 'Always' | 'IfNotPresent') => wanted({ image: 'a:1', pullPolicy });
  queue.setList(withPolicy('IfNotPresent'));
  queue.setPresent(present);
  queue.open();
  assert.deepEqual(names(), []);
  queue.setList(withPolicy('Always'));
  queue.setPresent(present);
  assert.deepEqual(names(), ['a:1']);
  end('a:1');
  await until('the answer', () => state('a:1')?.state === 'present');
  queue.setList(withPolicy('Always'));
  queue.setPresent(present);
  assert.deepEqual(names(), []);
});

test('one image that fails again and again does not hold up the others', limits, async t => {
  const { queue, end, state, until, pulls } = startQueue(t, {
    concurrency: 1,
    perRegistry: 1,
    retry: { initial: 1, max: 5 },
  });
  queue.setList(wanted({ image: 'bad:1', priority: 9 }, 'a:1', 'b:1', 'c:1'));
  queue.setPresent(new Set());
  queue.open();
  await until('the others', () => {
    if (pulls[0]?.image === 'bad:1') end('bad:1', 'unknown');
    else pulls[0]?.end();
    return queue.images.slice(1).every(image => image.state === 'present');
  });
  assert.ok((state('bad:1')?.attempts ?? 0) >= 1);
});

test('stop cancels what runs and resolves when it has ended', limits, async t => {
  const { queue, pulls } = startQueue(t);
  queue.setList(wanted('a:1', 'b:1', 'c:1'));
  queue.setPresent(new Set());
  queue.open();
  let stopped = false;
  const stopping = queue.stop().then(() => {
    stopped = true;
  });
  assert.deepEqual(
    pulls.map(({ signal }) => signal.aborted),
    [true, true],
  );
  pulls[0]?.end();
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(stopped, false, 'one has not ended');
  pulls[0]?.end('unknown');
  await stopping;
  assert.deepEqual([queue.busy, pulls.length], [false, 0]);
});

test('a pull that fails just before the connection is given up has failed all the same', limits, async t => {
  const { queue, end, state, until } = startQueue(t);
  queue.setList(wanted('a:1'));
  queue.setPresent(new Set());
  queue.open();
  end('a:1', 'runtime');
  queue.close(new PullFailure('runtime', 'gone'));
  await until('the failure', () => state('a:1')?.state === 'waiting');
  assert.equal(state('a:1')?.failure?.kind, 'runtime');
});

/** How long a registry may be silent in these tests, in milliseconds. */
const silence = 50;

/** A queue of these images, two of which have been under way for longer than that, without an answer. */
async function startSilent(t: TestContext, ...images: readonly string[]) {
  const started = startQueue(t);
  const take = (names: readonly string[]) => {
    started.queue.setList(wanted(...names));
    started.queue.setPresent(new Set());
  };
  take(images);
  started.queue.open();
  const since = performance.now();
  await started.until('the silence', () => performance.now() > since + silence + 1);
  /** Has the queue look for stalls; which of the two pulls are given up by then. */
  const givenUp = () => {
    started.queue.failStalled(300_000, silence);
    return started.pulls.map(({ signal }) => signal.aborted);
  };
  return { ...started, take, givenUp };
}

test(
  'a registry that does not answer gives a slot to others that wait, and keeps both if none does',
  limits,
  async t => {
    const dead = ['dead.io/a:1', 'dead.io/b:1', 'dead.io/c:1'];
    const { names, pulls, state, until, take, givenUp } = await startSilent(t, ...dead);
    assert.deepEqual(givenUp(), [false, false], 'nobody else waits');
    take([...dead, 'good.io/d:1']);
    assert.deepEqual(givenUp(), [false, true]);
    pulls[1]?.end('unknown');
    await until('the other registry', () => names().includes('good.io/d:1'));
    assert.deepEqual(names(), ['dead.io/a:1', 'good.io/d:1']);
    assert.equal(state('dead.io/b:1')?.failure?.kind, 'unreachable');
  },
);

test('a registry that has answered keeps its slots, however slow it is', limits, async t => {
  const { queue, givenUp } = await startSilent(t, 'slow.io/a:1', 'slow.io/b:1', 'good.io/d:1');
  queue.setProgress({ images: new Map([['slow.io/a:1', { bytesDone: 1, bytesTotal: 10 }]]), otherBytes: 0 });
  assert.deepEqual(givenUp(), [false, false]);
});

test('a pull that the runtime makes wait its turn is no silent registry', limits, async t => {
  const { queue, givenUp } = await startSilent(t, 'dead.io/a:1', 'dead.io/b:1', 'good.io/d:1');
  const waits = { bytesDone: 0, bytesTotal: null, awaitsBytes: false };
  queue.setProgress({ images: new Map([['dead.io/a:1', waits]]), otherBytes: 0 });
  assert.deepEqual(givenUp(), [false, false]);
});

test("bytes of somebody else's pull are no answer of a registry", limits, async t => {
  const { queue, givenUp } = await startSilent(t, 'dead.io/a:1', 'dead.io/b:1', 'good.io/d:1');
  queue.setProgress({ images: new Map(), otherBytes: 1_000 });
  assert.deepEqual(givenUp(), [false, true]);
});

test('also where each slot is held by another registry that does not answer', limits, async t => {
  const { names, pulls, until, givenUp } = await startSilent(
    t,
    'dead1.io/a:1',
    'dead2.io/a:1',
    'good.io/d:1',
  );
  assert.deepEqual(givenUp(), [false, true]);
  pulls[1]?.end('unknown');
  await until('the other registry', () => names().includes('good.io/d:1'));
});
