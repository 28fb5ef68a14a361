import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readKeyring } from '../../agent/docker-config/keyring.ts';

/** The user names that match, in order, for a docker config whose user names are its own keys. */
function matches(keys: readonly string[], repository: string): readonly string[] {
  const auths = Object.fromEntries(
    keys.map(key => [key, { auth: Buffer.from(`${key.replaceAll(':', ';')}:x`).toString('base64') }]),
  );
  return readKeyring(JSON.stringify({ auths }))
    .lookup(repository)
    .map(({ username }) => username.replaceAll(';', ':'));
}

// https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/credentialprovider/keyring_test.go
test('keys match as in the kubelet', () => {
  const yes: readonly (readonly [string, string])[] = [
    ['prefix.*.io/foo', 'prefix.kubernetes.io/foo/bar'],
    ['*.kubernetes.io:1111/blah', 'prefix.kubernetes.io:1111/blah/x'],
    ['bar.example.com/pong', 'bar.example.com/pongz'],
    ['https://reg.example.com/v1/', 'reg.example.com/a'],
    ['http://reg.example.com/v2/team', 'reg.example.com/team/a'],
    ['reg.example.com/', 'reg.example.com/a'],
    ['*.io', 'quay.io/a/b'],
    ['user@reg.example.com', 'reg.example.com/a'],
    ['docker.io', 'docker.io/library/nginx'],
    ['https://index.docker.io/v1/', 'docker.io/library/nginx'],
    ['index.docker.io', 'docker.io/library/nginx'],
    ['127.0.0.1:5000', '127.0.0.1:5000/a'],
  ];
  for (const [key, repository] of yes)
    assert.deepEqual(matches([key], repository), [key], `${key} ~ ${repository}`);
  const no: readonly (readonly [string, string])[] = [
    ['*.*.kubernetes.io', 'prefix.kubernetes.io/a'],
    ['k*.io', 'quay.io/a'],
    ['prefix.*.io/foo', 'prefix.kubernetes.io:1111/foo/bar'],
    ['reg.example.com', 'reg.example.com:443/a'],
    ['reg.example.com/v2', 'reg.example.com/a'],
    ['https://index.docker.io/v1', 'docker.io/library/nginx'],
    ['registry-1.docker.io', 'docker.io/library/nginx'],
    ['Reg.example.com', 'reg.example.com/a'],
    ['reg.example.com/team/', 'reg.example.com/team'],
  ];
  for (const [key, repository] of no)
    assert.deepEqual(matches([key], repository), [], `${key} !~ ${repository}`);
});

test('a longer path goes before a shorter one, and a plain host before a wildcard', () => {
  const keys = ['*.example.com', 'reg.example.com', 'reg.example.com/team', 'reg.example.com/team/app'];
  assert.deepEqual(matches(keys, 'reg.example.com/team/app'), keys.toReversed());
});

test('any other match takes the place of the fallback for Docker Hub', () => {
  assert.deepEqual(matches(['*.io', 'https://index.docker.io/v1/'], 'docker.io/library/nginx'), ['*.io']);
  assert.deepEqual(matches(['index.docker.io'], 'quay.io/a'), []);
});

test('one bad entry voids the whole file, and an empty one is a try without credential', () => {
  const auth = Buffer.from('u:p').toString('base64');
  const voided = readKeyring(JSON.stringify({ auths: { 'a.io': { auth }, 'b.io': { auth: 'x' } } }));
  assert.deepEqual(voided.lookup('a.io/x'), []);
  const empty = readKeyring(JSON.stringify({ auths: { 'a.io': {} } })).lookup('a.io/x');
  assert.deepEqual(
    empty.map(({ username, password }) => [username, password.reveal()]),
    [['', '']],
  );
  for (const text of [undefined, '', '{', '[]', '{"auths": 3}'])
    assert.deepEqual(readKeyring(text).lookup('a.io/x'), []);
});

test('no key is a crash, and none makes the match slow', () => {
  const auth = Buffer.from('u:p').toString('base64');
  const wild = fc.string({
    unit: fc.constantFrom('*', '?', '.', '/', ':', '@', '[', ']', 'a', '\\', '%', '#', ' ', 'é'),
  });
  fc.assert(
    fc.property(wild, wild, (key, repository) => {
      readKeyring(JSON.stringify({ auths: { [key]: { auth } } })).lookup(repository);
    }),
    { numRuns: 2_000 },
  );
  const asked = performance.now();
  matches([`${'*a'.repeat(5_000)}b.io`], `${'a'.repeat(5_000)}.io/x`);
  // All of them are one key once they are normalised.
  const same = Object.fromEntries(Array.from({ length: 40_000 }, (_, index) => [`a.io?${index}`, { auth }]));
  assert.equal(readKeyring(JSON.stringify({ auths: same })).lookup('a.io/x').length, 40_000);
  assert.ok(performance.now() - asked < 3_000);
});
