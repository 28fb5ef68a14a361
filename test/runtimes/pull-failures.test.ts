import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SecretText } from '../../agent/base/secret-text.ts';
import { readKeyring } from '../../agent/docker-config/keyring.ts';
import { parseImageReference } from '../../agent/image-reference.ts';
import { attemptPull } from '../../agent/images/pull-attempt.ts';
import { findRuntime } from '../../agent/runtimes/find-runtime.ts';
import { PullFailure, type PullFailureKind } from '../../agent/runtimes/pull-failure.ts';
import type { Runtime } from '../../agent/runtimes/runtime.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { createContainerd } from '../sandbox/containerd.ts';
import { dockerConfigJson } from '../sandbox/docker-config.ts';
import { makeLayer } from '../sandbox/image-layer.ts';
import { startRegistry } from '../sandbox/registry.ts';
import { mountSmallDisk } from '../sandbox/small-disk.ts';
import { temporaryDirectory, temporaryNode } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';
import {
  type Case,
  failedConnections,
  faults,
  publishImages,
  refusals,
  users,
  wrongPassword,
} from './failing-pulls.ts';
import { serveRegistry, signature } from './fake-registry.ts';
import { serveNoNames } from './no-names.ts';
import { silence } from './registry-answers.ts';

const never = new AbortController().signal;
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

async function failureOf(
  runtime: Runtime,
  { image, password }: Pick<Case, 'image' | 'password'>,
  timeout = 20_000,
): Promise<PullFailure> {
  const reference = parseImageReference(image);
  assert.ok(typeof reference !== 'string', `${image}: ${reference}`);
  const { registry } = reference;
  const keyring =
    password === undefined
      ? undefined
      : readKeyring(dockerConfigJson({ registry, user: 'team-a', password }));
  const attempt = attemptPull({ runtime, reference, keyring: () => keyring, timeout }, never);
  const failure = await attempt.catch(error => error);
  assert.ok(failure instanceof PullFailure, `${image}: ${failure}`);
  return failure;
}

/** The kind, the reason and the next step, in one short line without a secret. */
function check({ kind, message }: PullFailure, expected: Pick<Case, 'kind' | 'says'>): void {
  assert.equal(kind, expected.kind, message);
  assert.match(message, expected.says);
  assert.match(message, nextSteps[kind]);
  assert.ok(message.length < 500 && !/\p{Cc}/u.test(message), message);
  const passwords = [wrongPassword, ...users.map(({ password }) => password)];
  const encoded = passwords.map(password => Buffer.from(`team-a:${password}`).toString('base64'));
  for (const secret of [...passwords, ...encoded, signature, 'X-Amz'])
    assert.ok(!message.includes(secret), message);
}

const repositories = Object.fromEntries([
  ...faults.map(({ repository }, index) => [`fault-${index}`, repository] as const),
  ['silent-manifest', { manifest: silence }],
  ['silent-layer', { layer: silence }],
]);

/** One node for all, a real registry of each kind, and fake ones. */
async function startParts(t: TestContext) {
  const names = await serveNoNames(t);
  const node = await temporaryNode(t, {
    users,
    names: { local: ['registry.test'], server: names.address },
  });
  const directory = join(node.directory, 'registry-htpasswd');
  const logFile = join(directory, 'log');
  const htpasswd = await startRegistry({ directory, logFile, users, authentication: 'htpasswd' });
  cleanUp(t, () => htpasswd.stop());
  for (const registry of [node.registry, htpasswd]) await publishImages(registry);
  const fake = await serveRegistry(t, repositories);
  const tls = await serveRegistry(t, {}, 'registry.test');
  const runtime = await findRuntime('auto', node.hostRoot, never);
  cleanUp(t, () => runtime.close());
  return { names, node, htpasswd, fake, tls, runtime };
}

test('a pull that fails tells its kind, the reason and what to do', { timeout: 120_000 }, async t => {
  const { names, node, htpasswd, fake, tls, runtime } = await startParts(t);
  const at = (repository: string) => `127.0.0.1:${fake.port}/${repository}:v1`;
  const cases: readonly Case[] = [
    ...refusals(node.registry, 'token'),
    ...refusals(htpasswd, 'htpasswd'),
    ...faults.map((fault, index) => ({ ...fault, image: at(`fault-${index}`), password: wrongPassword })),
    ...(await failedConnections(fake.port, tls.port)),
  ];
  for (const one of cases) await t.test(one.what, async () => check(await failureOf(runtime, one), one));
  assert.ok(names.asked() > 0, 'the name server of the test is the one that was asked');

  await t.test('no reference', async () => {
    const failure = await runtime.pull({ name: 'A B' }, never).catch(error => error);
    check(failure, { kind: 'bad-reference', says: /failed to parse image reference/ });
  });
  for (const repository of ['silent-manifest', 'silent-layer'])
    await t.test(`a registry that never answers (${repository})`, async () => {
      const failure = await failureOf(runtime, { image: at(repository) }, 1_000);
      check(failure, { kind: 'timeout', says: /^not done after 1\.0s;/ });
    });
  await t.test('and one that is right is pulled', async () => {
    const credential = { username: 'team-a', password: new SecretText('the-right-word') };
    for (const { host } of [node.registry, htpasswd])
      await runtime.pull({ name: `${host}/team-a/api:v1`, credential }, never);
  });
  await t.test('containerd gone', async () => {
    const asked = fake.requests.length;
    const failed = failureOf(runtime, { image: at('silent-manifest') });
    await waitUntil(() => fake.requests.length > asked, { what: 'the request', timeoutMs: 10_000 });
    await node.containerd.kill('SIGKILL');
    const says = /^the container runtime does not answer: /;
    check(await failed, { kind: 'runtime', says });
    check(await failureOf(runtime, { image: at('silent-manifest') }), { kind: 'runtime', says });
  });
});

// The smaller one and its archive fit, but not what is in it beside it.
for (const { size, step } of [
  { size: 30_000_000, step: 'copy' },
  { size: 14_000_000, step: 'extract' },
])
  test(`a disk that is full is told (failed to ${step})`, { timeout: 60_000 }, async t => {
    const nodeRoot = await temporaryDirectory(t);
    const logFile = join(nodeRoot, 'containerd.log');
    await mountSmallDisk(t, join(nodeRoot, 'var'), 24_000_000);
    const containerd = createContainerd({ nodeRoot, logFile });
    cleanUp(t, () => containerd.stop());
    await containerd.start();
    const content = await makeLayer({ seed: step, size, compression: 'gzip' });
    const fake = await serveRegistry(t, { big: { content } });
    const runtime = await findRuntime('auto', nodeRoot, never);
    cleanUp(t, () => runtime.close());
    const failure = await failureOf(runtime, { image: `127.0.0.1:${fake.port}/big:v1` });
    check(failure, { kind: 'disk', says: new RegExp(`failed to ${step}.*: no space left on device\\b`) });
  });
