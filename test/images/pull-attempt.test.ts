import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { type Keyring, readKeyring } from '../../agent/docker-config/keyring.ts';
import { parseImageReference } from '../../agent/image-reference.ts';
import { attemptPull } from '../../agent/images/pull-attempt.ts';
import { PullFailure, type PullFailureKind } from '../../agent/runtimes/pull-failure.ts';
import type { PullRequest } from '../../agent/runtimes/runtime.ts';

const limits = { timeout: 5_000 };
const never = new AbortController().signal;

/** One user for each key, with the key as the name. */
function keyringOf(...keys: readonly string[]): Keyring {
  const auth = (key: string) => Buffer.from(`${key}:word`).toString('base64');
  return readKeyring(
    JSON.stringify({ auths: Object.fromEntries(keys.map(key => [key, { auth: auth(key) }])) }),
  );
}

/** An attempt at r.io/team/app:1 whose pulls end as `answer` says, and the users that were tried. */
function attempt(
  answer: (user: string) => PullFailureKind | undefined | Promise<undefined>,
  keyring: () => Keyring | undefined,
  { timeout = 5_000, signal = never } = {},
) {
  const reference = parseImageReference('r.io/team/app:1');
  assert.ok(typeof reference !== 'string');
  const users: string[] = [];
  const pull = async ({ name, credential }: PullRequest, end: AbortSignal) => {
    assert.equal(name, 'r.io/team/app:1');
    const user = credential && 'username' in credential ? credential.username : 'anonymous';
    users.push(user);
    const aborted = new Promise<undefined>((_, reject) =>
      end.addEventListener('abort', () => reject(new Error('cancelled'))),
    );
    const kind = await Promise.race([answer(user), aborted]);
    if (kind) throw new PullFailure(kind, `no for ${user}`);
  };
  return { users, done: attemptPull({ runtime: { pull }, reference, keyring, timeout }, signal) };
}

function failure(kind: PullFailureKind, message = /./) {
  return (error: unknown) =>
    error instanceof PullFailure && error.kind === kind && message.test(error.message);
}

test('without a credential that matches the pull is anonymous', limits, async () => {
  for (const keyring of [undefined, keyringOf('other.io')]) {
    const { users, done } = attempt(
      () => undefined,
      () => keyring,
    );
    await done;
    assert.deepEqual(users, ['anonymous']);
  }
});

test(
  'credentials are tried from the longest match to the shortest, and never none after them',
  limits,
  async () => {
    const keyring = keyringOf('r.io', 'r.io/team/app', 'r.io/team', 'other.io');
    const { users, done } = attempt(
      user => (user === 'r.io/team' ? 'not-found' : 'auth'),
      () => keyring,
    );
    await assert.rejects(done, failure('auth', /no for r.io;/));
    assert.deepEqual(users, ['r.io/team/app', 'r.io/team', 'r.io']);
  },
);

test(
  'the first credential that works ends it, and so does a failure that no credential mends',
  limits,
  async () => {
    const keyring = () => keyringOf('r.io', 'r.io/team');
    const good = attempt(() => undefined, keyring);
    await good.done;
    const broken = attempt(() => 'unreachable', keyring);
    await assert.rejects(broken.done, failure('unreachable'));
    assert.deepEqual([good.users, broken.users], [['r.io/team'], ['r.io/team']]);
  },
);

for (const kind of ['auth', 'not-found'] as const)
  test(`credentials that come while the old ones end in ${kind} are tried at once`, limits, async () => {
    const [before, after] = [keyringOf('r.io'), keyringOf('r.io/team')];
    let current = before;
    const { users, done } = attempt(
      user => {
        current = after;
        return user === 'r.io' ? kind : undefined;
      },
      () => current,
    );
    await done;
    assert.deepEqual(users, ['r.io', 'r.io/team']);
    const other = attempt(
      () => {
        current = keyringOf('r.io');
        return 'unreachable';
      },
      () => current,
    );
    await assert.rejects(other.done, failure('unreachable'));
    assert.equal(other.users.length, 1, 'not for another failure');
  });

test(
  'all credentials together have the time of one attempt, and nothing of it stays behind',
  limits,
  async () => {
    const cancel = new AbortController();
    const keyring = keyringOf('r.io', 'r.io/team');
    const { users, done } = attempt(
      () => new Promise(() => {}),
      () => keyring,
      { timeout: 50, signal: cancel.signal },
    );
    await assert.rejects(done, failure('timeout', /not done after 50ms; raise pulls.timeout/));
    assert.deepEqual(users, ['r.io/team']);
    assert.equal(getEventListeners(cancel.signal, 'abort').length, 0);
    const timers = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length;
    const before = timers();
    await attempt(
      () => undefined,
      () => keyring,
      { timeout: 3_600_000 },
    ).done;
    assert.equal(timers(), before);
  },
);

test('a pull that is cancelled ends with the reason, whatever the runtime says', limits, async () => {
  const cancel = new AbortController();
  const { users, done } = attempt(
    () => new Promise(() => {}),
    () => keyringOf('r.io', 'r.io/team'),
    { signal: cancel.signal },
  );
  cancel.abort(new PullFailure('disk', 'low'));
  await assert.rejects(done, failure('disk'));
  assert.equal(users.length, 1);
});
