import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Code, ConnectError } from '@connectrpc/connect';
import { criPullFailure } from '../../../agent/runtimes/cri/cri-failure.ts';

// What other versions of containerd and other runtimes say; the contract of all runtimes has the one that is here.
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
    ['unexpected status: 500 Internal Server Error - Server message: no space left on device', 'unreachable'],
    ['failed to do request: Head "https://r.io/v2/a/manifests/1": Forbidden', 'unreachable'],
    ['failed to resolve image: r.io/a:1: not found', 'not-found'],
    ['r.io/a:1@sha256:00ff: not found', 'not-found'],
    ['reading manifest 1 in r.io/a: manifest unknown', 'not-found'],
    ['reading manifest 1 in r.io/a: StatusCode: 403, denied', 'auth'],
    [
      'pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed',
      'auth',
    ],
    ['no match for platform in manifest: not found', 'platform'],
    ['choosing image instance: no image found in image index for architecture "arm64"', 'platform'],
    [
      'failed to extract layer sha256:00ff: failed to get reader: content digest sha256:00ff: not found',
      'unknown',
    ],
    [
      'failed commit on ref "layer-sha256:00ff": "x" failed size validation: 403 != 429: failed precondition',
      'unreachable',
    ],
    ['failed to copy: httpReadSeeker: failed open: http2: client connection lost', 'unreachable'],
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
    ['unexpected status code [manifests 503]: 403 Forbidden', 'auth'],
    ['failed to read layer of 500 bytes after status of 429503 bytes', 'unknown'],
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

test('what hides a credential hides it in what is shown, and the kind is told all the same', () => {
  const error = new ConnectError('unexpected status: 403 Forbidden: robot has forbidden', Code.Unknown);
  const failure = criPullFailure(error, text => text.replaceAll(/forbidden/gi, '[secret]'));
  assert.equal(failure.kind, 'auth');
  assert.match(failure.message, /^unexpected status: 403 \[secret\]: robot has \[secret\]; check/);
  assert.ok(!inspect(failure, { depth: 10 }).includes('orbidden'));
});

test('of a text as long as a registry likes only the start is looked at', { timeout: 10_000 }, () => {
  for (const sign of [' ', '\n', '"', '/', '[', '?', '-', 'https://', 'status ', 'a:1/']) {
    const text = `forbidden ${sign.repeat(1_000_000)}x no space left on device`;
    const { kind, message } = criPullFailure(new ConnectError(text, Code.Unknown));
    assert.equal(kind, 'auth', sign);
    assert.ok(message.length < 1_200 && !message.includes('no space'), message);
  }
  const empty = criPullFailure(new ConnectError(' \n'.repeat(500_000), Code.Unknown));
  assert.match(empty.message, /^it does not say why; /);
});
