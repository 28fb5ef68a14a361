import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DockerRefusal } from '../../../agent/runtimes/docker/docker-answer.ts';
import { dockerPullFailure } from '../../../agent/runtimes/docker/docker-failure.ts';
import { PullFailure } from '../../../agent/runtimes/pull-failure.ts';

// What other versions say, and what is said of Docker Hub; the contract of the runtimes has the ones that are here.
test('texts tell the kind', () => {
  const kinds: readonly (readonly [string, string])[] = [
    [
      "pull access denied for nginx-none, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
      'auth',
    ],
    ['Get "https://registry-1.docker.io/v2/": unauthorized: incorrect username or password', 'auth'],
    ['Head "https://r.io/v2/a/manifests/1": no basic auth credentials', 'auth'],
    ['Head "https://r.io/v2/a/manifests/1": denied: Your authorization token has expired.', 'auth'],
    ["error parsing HTTP 403 response body: invalid character '<' looking for beginning of value", 'auth'],
    [
      'toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating',
      'rate-limited',
    ],
    ["error parsing HTTP 429 response body: invalid character '<' looking", 'rate-limited'],
    [
      'unexpected status from HEAD request to https://r.io/v2/a/manifests/1: 429 Too Many Requests',
      'rate-limited',
    ],
    ['manifest for nginx:none not found: manifest unknown: manifest unknown', 'not-found'],
    ['failed to resolve reference "r.io/a:none": r.io/a:none: not found', 'not-found'],
    ['no matching manifest for linux/arm64/v8 in the manifest list entries', 'platform'],
    ['no match for platform in manifest: not found', 'platform'],
    ['received unexpected HTTP status: 502 Bad Gateway', 'unreachable'],
    ['error parsing HTTP 500 response body: unexpected end of JSON input: ""', 'unreachable'],
    [
      'Get "https://r.io/v2/": proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused',
      'unreachable',
    ],
    ['Get "https://r.io/v2/": Forbidden', 'unreachable'],
    ['Get "https://r.io/v2/": x509: certificate signed by unknown authority', 'unreachable'],
    [
      'Get "https://r.io/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)',
      'unreachable',
    ],
    ['net/http: TLS handshake timeout', 'unreachable'],
    ['context deadline exceeded', 'unreachable'],
    ['filesystem layer verification failed for digest sha256:403', 'unreachable'],
    ['failed to register layer: write /usr/bin/x: no space left on device', 'disk'],
    ['write /var/lib/docker/tmp/GetImageBlob403: no space left on device', 'disk'],
    ['received unexpected HTTP status: 500 no space left on device', 'unreachable'],
    ['open /var/lib/docker/tmp/GetImageBlob1: permission denied', 'unknown'],
    ['failed to register layer: archive/tar: invalid tar header', 'unknown'],
    ['something that nobody has seen before', 'unknown'],
    // Of podman.
    ['initializing source docker://r.io/a:1: reading manifest 1 in r.io/a: manifest unknown', 'not-found'],
    [
      'initializing source docker://r.io/a:1: reading manifest 1 in r.io/a: StatusCode: 404, not here',
      'not-found',
    ],
    [
      'initializing source docker://r.io/a:1: Requesting bearer token: received unexpected HTTP status: 403 Forbidden',
      'auth',
    ],
    [
      'initializing source docker://r.io/a:1: pinging container registry r.io: invalid status code from registry 404 (Not Found)',
      'unreachable',
    ],
    [
      'copying system image from manifest list: writing blob: storing blob to file "/var/tmp/storage1": write /var/tmp/storage1: no space left on device',
      'disk',
    ],
  ];
  for (const [text, kind] of kinds) {
    const failure = dockerPullFailure(text);
    assert.equal(failure.kind, kind, text);
    assert.ok(failure.message.startsWith(`${text.replace(/\s+/g, ' ')}; `), failure.message);
  }
});

test('a name, a tag or an address in the text does not pass for the reason', () => {
  const texts: readonly (readonly [string, string])[] = [
    ['manifest for r.io/unauthorized:denied not found: manifest unknown', 'not-found'],
    ['manifest for denied:unauthorized not found: manifest unknown', 'not-found'],
    [
      'Get "https://r.io/v2/denied/manifests/403": dial tcp 10.0.0.1:443: connect: connection refused',
      'unreachable',
    ],
    [
      'initializing source docker://denied:403: reading manifest 403 in docker.io/library/denied: manifest unknown',
      'not-found',
    ],
    [
      'initializing source docker://r.io/x509:401: reading manifest unauthorized in r.io/x509: manifest unknown',
      'not-found',
    ],
  ];
  for (const [text, kind] of texts) assert.equal(dockerPullFailure(text).kind, kind, text);
});

test('what hides a credential hides it in what is shown, and the kind is told all the same', () => {
  const failure = dockerPullFailure('denied: denied', text => text.replaceAll('denied', '[secret]'));
  assert.equal(failure.kind, 'auth');
  assert.match(failure.message, /^\[secret\]: \[secret\]; check/);
  assert.equal(failure.cause, undefined);
});

test('a token in a header is not shown', () => {
  const { message } = dockerPullFailure(
    'denied: Bearer eyJhbGciOiJ.eyJpc3MiOi1-_ is old, no basic authentication-type',
  );
  assert.match(message, /^denied: Bearer \.\.\. is old, no basic authentication-type; /);
});

test('what a registry says is one line without signatures, control characters and end', () => {
  const { message } = dockerPullFailure(
    `errors:\ndenied: no\n Get "https://user:word@b.example.com/x?X-Signature=deadbeef": \u001b[2J\u0007 ${'x'.repeat(5_000)}`,
  );
  assert.match(message, /^errors: denied: no Get "https:\/\/b\.example\.com\/x\?\.\.\.": /);
  assert.ok(!/deadbeef|word/.test(message) && !/\p{Cc}/u.test(message), message);
  assert.ok(message.length < 1_200);
});

test('of a text as long as a registry likes only the start is looked at', { timeout: 10_000 }, () => {
  for (const sign of [
    ' ',
    '\n',
    '"',
    '/',
    '[',
    '?',
    '-',
    'https://',
    'status ',
    'Basic ',
    'docker://',
    'a:1/',
  ]) {
    const { kind, message } = dockerPullFailure(`denied: ${sign.repeat(1_000_000)}x unauthorized`);
    assert.equal(kind, 'auth', sign);
    assert.ok(message.length < 1_200 && !message.includes('unauthorized'), message);
  }
  assert.match(dockerPullFailure(' \n'.repeat(500_000)).message, /^it does not say why; /);
});

test('what is no reason of a registry is a refusal of docker', () => {
  const refusals = [
    [undefined, 'it answers with the HTTP status 403'],
    [
      'authorization denied by plugin some/plugin:1: unauthorized',
      'authorization denied by plugin some/plug',
    ],
    ['plugin foo failed with error: AuthZPlugin.AuthZReq: 404', 'plugin foo failed with error: AuthZPlugin.'],
  ] as const;
  for (const [message, says] of refusals) {
    const failure = dockerPullFailure(new DockerRefusal(403, message));
    assert.equal(failure.kind, 'runtime');
    assert.ok(failure.message.startsWith(`the container runtime refuses to pull: ${says}`), failure.message);
  }
  assert.equal(dockerPullFailure(new DockerRefusal(500, 'no basic auth credentials')).kind, 'auth');
});

test('what breaks the connection is the failure of the runtime, whatever its text', () => {
  const failure = dockerPullFailure(new Error('unauthorized'));
  assert.deepEqual(
    [failure.kind, failure.message],
    [
      'runtime',
      'the container runtime does not answer: unauthorized; it goes on when the container runtime answers again',
    ],
  );
  const known = new PullFailure('stalled', 'no');
  assert.equal(dockerPullFailure(known), known);
});
