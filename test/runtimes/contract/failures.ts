import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { readKeyring } from '../../../agent/docker-config/keyring.ts';
import { parseImageReference } from '../../../agent/image-reference.ts';
import { attemptPull } from '../../../agent/images/pull-attempt.ts';
import { PullFailure, type PullFailureKind } from '../../../agent/runtimes/pull-failure.ts';
import type { Runtime } from '../../../agent/runtimes/runtime.ts';
import { dockerConfigJson } from '../../sandbox/docker-config.ts';
import { makeLayer } from '../../sandbox/image-layer.ts';
import { mountSmallDisk } from '../../sandbox/small-disk.ts';
import { temporaryDirectory } from '../../sandbox/temporary.ts';
import {
  type Case,
  failedConnections,
  publishImages,
  refusals,
  users,
  wrongPassword,
} from '../failing-pulls.ts';
import { type FakeRegistry, serveRegistry, signature } from '../fake-registry.ts';
import { serveNoNames } from '../no-names.ts';
import { silence, trickle } from '../registry-answers.ts';
import { faults } from '../registry-faults.ts';
import type { TestedRuntime } from '../tested-runtimes.ts';
import { never, startDaemon, temporaryRegistry } from './scene.ts';

/** Every kind of failure, from what really fails. */
export function tellsWhyAPullFails(tested: TestedRuntime): void {
  const { name } = tested;

  test('a pull that fails tells its kind, the reason and what to do', {
    timeout: 120_000,
    concurrency: 8,
  }, async t => {
    const { names, runtime, cases } = await startParts(t, tested);
    for (const { what, not } of cases)
      if (not?.[name]) t.diagnostic(`${what} is no case of ${name}: ${not[name]}`);
    const subtests = cases
      .filter(({ not }) => !not?.[name])
      .map(one => t.test(one.what, async () => check(await failureOf(runtime, one), one, tested)));
    await Promise.all(subtests);
    assert.ok(names.asked() > 0, 'the name server of the test is the one that was asked');
  });

  test('what is no reference is told', { timeout: 20_000 }, async t => {
    const { connect } = await startDaemon(t, tested);
    const failure = await (await connect()).pull({ name: 'A B' }, never).catch(error => error);
    check(failure, { kind: 'bad-reference', says: /invalid reference format/ }, tested);
  });

  test('a deadline ends a pull, wherever it is', { timeout: 20_000, concurrency: true }, async t => {
    const { connect } = await startDaemon(t, tested);
    const content = await makeLayer({ seed: 'slow', size: 5_000_000, compression: 'gzip' });
    const slow = { manifest: silence };
    const registries = {
      'the manifest': slow,
      'the first byte of a layer': { layer: silence },
      'the rest of a layer': { layer: trickle(1_000), content },
    };
    const runtime = await connect();
    const subtests = Object.entries(registries).map(([what, repository]) =>
      t.test(`it waits for ${what}`, async t => {
        const { port } = await serveRegistry(t, { app: repository });
        const failure = await failureOf(runtime, { image: `127.0.0.1:${port}/app:v1` }, 1_000);
        check(failure, { kind: 'timeout', says: /^not done after 1\.0s;/ }, tested);
      }),
    );
    await Promise.all(subtests);
  });

  // The smaller one and its archive fit, but not what is in it beside it.
  for (const [step, size] of [
    ['fetched', 30_000_000],
    ['extracted', 14_000_000],
  ] as const)
    test(`a disk that is full is told, when a layer is ${step}`, { timeout: 60_000 }, async t => {
      const nodeRoot = await temporaryDirectory(t);
      await mountSmallDisk(t, join(nodeRoot, 'var'), 24_000_000);
      const { connect } = await startDaemon(t, tested, { nodeRoot });
      const content = await makeLayer({ seed: step, size, compression: 'gzip' });
      const { port } = await serveRegistry(t, { big: { content } });
      const failure = await failureOf(await connect(), { image: `127.0.0.1:${port}/big:v1` });
      check(failure, { kind: 'disk', says: /no space left on device\b/ }, tested);
    });
}

/** One daemon for all, a real registry of each kind, and fake ones. */
async function startParts(t: TestContext, tested: TestedRuntime) {
  const names = await serveNoNames(t);
  const known = { local: ['registry.test'], server: names.address };
  const { connect } = await startDaemon(t, tested, { names: known });
  const [token, htpasswd] = [
    await temporaryRegistry(t, { users }),
    await temporaryRegistry(t, { users, authentication: 'htpasswd' }),
  ];
  for (const registry of [token, htpasswd]) await publishImages(registry);
  const fakes: FakeRegistry[] = [];
  // Each has a name of its own, and so a layer of its own: what one pull fetches, another one on the node need not.
  for (const [index, { repository }] of faults.entries())
    fakes.push(await serveRegistry(t, { [`fault-${index}`]: repository }));
  const [plain, tls] = [await serveRegistry(t, {}), await serveRegistry(t, {}, 'registry.test')];
  const cases: readonly Case[] = [
    ...refusals(token, 'token'),
    ...refusals(htpasswd, 'htpasswd'),
    ...faults.map((fault, index) => {
      const image = `127.0.0.1:${fakes[index]?.port}/fault-${index}:v1`;
      return { ...fault, image, password: wrongPassword };
    }),
    ...(await failedConnections(plain.port, tls.port)),
  ];
  return { names, runtime: await connect(), cases };
}

async function failureOf(
  runtime: Runtime,
  { image, password }: Pick<Case, 'image' | 'password'>,
  timeout = 60_000,
): Promise<PullFailure> {
  const reference = parseImageReference(image);
  assert.ok(typeof reference !== 'string', `${image}: ${reference}`);
  const { registry } = reference;
  const keyring =
    password === undefined
      ? undefined
      : readKeyring(dockerConfigJson({ registry, user: 'team-a', password }));
  const attempt = attemptPull({ runtime, reference, keyring: () => keyring, timeout }, never);
  return attempt.then(
    () => assert.fail(`${image} was pulled`),
    error => error,
  );
}

/** The kind, the reason and the next step, in one short line without a secret. */
function check(failure: unknown, expected: Pick<Case, 'kind' | 'says'>, { name }: TestedRuntime): void {
  assert.ok(failure instanceof PullFailure, `${failure}`);
  const { kind, message } = failure;
  const { says } = expected;
  assert.equal(kind, expected.kind, message);
  assert.match(message, says instanceof RegExp ? says : says[name]);
  assert.match(message, nextSteps[kind]);
  assert.ok(message.length < 500 && !/\p{Cc}/u.test(message), message);
  const passwords = [wrongPassword, ...users.map(({ password }) => password)];
  const encoded = passwords.map(password => Buffer.from(`team-a:${password}`).toString('base64'));
  // With its cause, which many a log would show.
  const shown = inspect(failure, { depth: 10 });
  for (const secret of [...passwords, ...encoded, signature, 'X-Amz'])
    assert.ok(!shown.includes(secret), shown);
}

/** What the message tells to do, by the kind. */
const nextSteps: Readonly<Record<PullFailureKind, RegExp>> = {
  auth: /; check that the Secret has a credential for this repository/,
  'not-found': /; check the name and the tag in the registry/,
  platform: /; the image has nothing for this node's platform; publish one/,
  'bad-reference': /; write it as registry\/repository:tag/,
  'rate-limited': /; the registry is left alone for a while; use a mirror/,
  unreachable: /; check DNS, routes, proxy, the registry's certificate, and the registry itself$/,
  disk: /; free space on the image file system of the node$/,
  timeout: /; raise pulls\.timeout/,
  stalled: /; .* check the registry and the network$/,
  runtime: /; it goes on when the container runtime answers again$/,
  unknown: /; look into the log of the container runtime$/,
};
