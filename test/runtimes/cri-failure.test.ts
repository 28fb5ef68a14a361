import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { SecretText } from '../../agent/base/secret-text.ts';
import { criPullFailure } from '../../agent/runtimes/cri-failure.ts';
import { findRuntime } from '../../agent/runtimes/find-runtime.ts';
import { PullFailure } from '../../agent/runtimes/pull-failure.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { publishImage } from '../sandbox/images.ts';
import { temporaryNode } from '../sandbox/temporary.ts';

const limits = { timeout: 60_000 };
const never = new AbortController().signal;

for (const authentication of ['token', 'htpasswd'] as const) {
  test(
    `the failures of a real containerd and registry have their kind (${authentication})`,
    limits,
    async t => {
      const users = [{ name: 'team-a', password: 'a-word', repositories: ['team-a/'] }];
      const node = await temporaryNode(t, { users, authentication });
      await publishImage(node.registry, { repository: 'team-a/api', tag: 'v1', layers: [1_000] });
      const other = process.arch === 'x64' ? 'linux/arm64' : 'linux/amd64';
      await publishImage(node.registry, {
        repository: 'team-a/other',
        tag: 'v1',
        layers: [1_000],
        platforms: [other, 'linux/s390x'],
      });
      const runtime = await findRuntime('auto', node.hostRoot, never);
      cleanUp(t, () => runtime.close());
      const { host } = node.registry;
      const kindOf = async (name: string, password?: string) => {
        const credential = password && { username: 'team-a', password: new SecretText(password) };
        const request = { name, ...(credential && { credential }) };
        const failure = await runtime.pull(request, never).catch(error => error);
        assert.ok(failure instanceof PullFailure, `${name}: ${failure}`);
        assert.ok(!failure.message.includes('\n') && failure.message.length < 500, failure.message);
        return failure.kind;
      };
      assert.equal(await kindOf(`${host}/team-a/api:v1`, 'wrong'), 'auth');
      assert.equal(await kindOf(`${host}/team-a/api:v1`), 'auth');
      assert.equal(await kindOf(`${host}/team-a/api:none`, 'a-word'), 'not-found');
      assert.equal(await kindOf(`${host}/team-a/none:v1`, 'a-word'), 'not-found');
      assert.equal(await kindOf(`${host}/team-a/other:v1`, 'a-word'), 'platform');
      assert.equal(await kindOf('127.0.0.1:1/team-a/api:v1'), 'unreachable');
      assert.equal(await kindOf('no-such-host.invalid/team-a/api:v1'), 'unreachable');
      assert.equal(await kindOf('A B'), 'bad-reference');
      await runtime.pull(
        {
          name: `${host}/team-a/api:v1`,
          credential: { username: 'team-a', password: new SecretText('a-word') },
        },
        never,
      );
    },
  );
}

// Texts of containerd's resolver for what a small registry on loopback does not do of itself.
test('texts tell the kind where the code does not', () => {
  const prefix = 'failed to pull and unpack image "r.io/a:1": failed to resolve reference "r.io/a:1": ';
  const kinds: readonly (readonly [string, string])[] = [
    ['unexpected status code [manifests 1]: 429 Too Many Requests', 'rate-limited'],
    ['toomanyrequests: You have reached your pull rate limit', 'rate-limited'],
    ['unexpected status from HEAD request to https://r.io/v2/a/manifests/1: 403 Forbidden', 'auth'],
    [
      'unexpected status from HEAD request to https://r.io/v2/a/manifests/1: 500 Internal Server Error',
      'unreachable',
    ],
    [
      'failed to do request: Head "https://r.io/v2/": x509: certificate signed by unknown authority',
      'unreachable',
    ],
    ['failed to do request: Head "https://r.io/v2/": dial tcp: lookup r.io: no such host', 'unreachable'],
    ['failed to copy: write /var/lib/containerd/x: no space left on device', 'disk'],
    ['something that nobody has seen before', 'unknown'],
  ];
  for (const [text, kind] of kinds) {
    const failure = criPullFailure(new ConnectError(`${prefix}${text}\n{"errors": []}`, Code.Unknown));
    assert.equal(failure.kind, kind, text);
    assert.ok(failure.message.startsWith(`${text}; `), failure.message);
  }
  assert.equal(
    criPullFailure(new ConnectError('server is not initialized yet', Code.Unavailable)).kind,
    'runtime',
  );
});

test('a name, a tag or an address in the text does not pass for the reason', () => {
  const texts: readonly (readonly [string, string])[] = [
    [
      'failed to do request: Head "https://r.io/v2/app/manifests/403": dial tcp 10.0.0.1:443: connection refused',
      'unreachable',
    ],
    [
      'failed to do request: Head "https://r.io/v2/unauthorized/manifests/v1.429": dial tcp: no such host',
      'unreachable',
    ],
    ['r.io/forbidden/x509:401: not found', 'not-found'],
    ['failed to copy: httpReadSeeker: failed open: http2: client connection lost', 'unknown'],
  ];
  for (const [text, kind] of texts)
    assert.equal(criPullFailure(new ConnectError(text, Code.Unknown)).kind, kind, text);
});

test('what a registry says is shown without signatures, control characters and end', () => {
  const text = `Get "https://user:word@b.example.com/x?X-Signature=deadbeef": \u001b[2J\u0007 ${'x'.repeat(5_000)}`;
  const { message } = criPullFailure(new ConnectError(text, Code.Unknown));
  assert.ok(!/deadbeef|word/.test(message) && !/\p{Cc}/u.test(message), message);
  assert.ok(message.length < 1_200);
});
