import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretText } from '../../../agent/base/secret-text.ts';
import { PullFailure } from '../../../agent/runtimes/pull-failure.ts';
import { publishImage } from '../../sandbox/images.ts';
import { identityToken } from '../../sandbox/token-service.ts';
import { serveRegistry } from '../fake-registry.ts';
import type { TestedRuntime } from '../tested-runtimes.ts';
import { never, startDaemon, temporaryRegistry, user } from './scene.ts';

const limits = { timeout: 60_000 };

/** Encoded in base64 they have `+` and `/`, wherever those fall, and end with each number of `=`. */
const logins = ['a', 'bc', 'def'].flatMap(name =>
  ['p>>>?', 'p???~~', "~}|>?'$", 'word: "quoted" \\ & more', '<b>&amp;\u2028'].map((password, index) => ({
    name: `${name}-${index}`,
    password,
    repositories: ['*'],
  })),
);

/** Pulls with whatever a registry asks for. */
export function pullsWithCredentials(tested: TestedRuntime): void {
  test('a registry that asks for nothing is pulled from without a credential', limits, async t => {
    const { connect } = await startDaemon(t, tested);
    const { port } = await serveRegistry(t, { app: {} });
    const runtime = await connect();
    const name = `127.0.0.1:${port}/app:v1`;
    await runtime.pull({ name }, never);
    assert.ok((await runtime.listImages(never)).has(name));
  });

  for (const authentication of ['htpasswd', 'token'] as const)
    test(`names and passwords arrive as they are, one as the other (${authentication})`, limits, async t => {
      const { connect } = await startDaemon(t, tested);
      const registry = await temporaryRegistry(t, { users: logins, authentication });
      const recipe = { repository: 'team/api', tag: 'v1', layers: [1_000] };
      const { reference } = await publishImage(registry, recipe);
      const runtime = await connect();
      for (const { name: username, password } of logins) {
        const pull = (word: string) =>
          runtime.pull({ name: reference, credential: { username, password: new SecretText(word) } }, never);
        await assert.doesNotReject(pull(password), `${username}: ${password}`);
        await assert.rejects(pull(`${password}x`), isRefusal, `${username}: another word`);
      }
    });

  test('an identity token is exchanged for others, and a wrong one is refused', limits, async t => {
    const { connect } = await startDaemon(t, tested);
    const registry = await temporaryRegistry(t);
    const recipe = { repository: 'team/api', tag: 'v1', layers: [1_000] };
    const { reference } = await publishImage(registry, recipe);
    const runtime = await connect();
    const pull = (password: string) => {
      const token = new SecretText(identityToken({ user: user.name, password }));
      return runtime.pull({ name: reference, credential: { identityToken: token } }, never);
    };
    await assert.rejects(pull('another-word'), isRefusal);
    await pull(user.password);
    assert.ok((await runtime.listImages(never)).has(reference));
  });
}

function isRefusal(error: unknown): boolean {
  assert.ok(error instanceof PullFailure, `${error}`);
  assert.equal(error.kind, 'auth', error.message);
  return true;
}
