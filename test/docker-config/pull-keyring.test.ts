import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPullKeyring } from '../../agent/docker-config/pull-keyring.ts';

const basic = (text: string) => ({ auth: Buffer.from(text).toString('base64') });
const token = { ...basic('<token>:'), identitytoken: 'the-token' };

/** What is tried for a repository, of two files with these entries: user names, and tokens. */
function tried(kubelet: object | undefined, docker: object | undefined, repository: string) {
  const text = (auths: object | undefined) => auths && JSON.stringify({ auths });
  return readPullKeyring({ kubelet: text(kubelet), docker: text(docker) })
    .lookup(repository)
    .map(one => ('identityToken' in one ? one.identityToken : one.password).reveal());
}

test('what the kubelet would try goes first, and then nothing else is tried', () => {
  const both = { 'reg.io/team': basic('a:team'), 'reg.io': basic('a:all') };
  assert.deepEqual(tried(both, { 'reg.io': token }, 'reg.io/team/app'), ['team', 'all']);
  assert.deepEqual(tried(both, { 'reg.io': token }, 'reg.io/other'), ['all']);
});

test("where the kubelet has nothing, it is the identity token of docker's file, by docker's matching", () => {
  assert.deepEqual(tried({}, { 'reg.io': token }, 'reg.io/team/app'), ['the-token']);
  assert.deepEqual(tried(undefined, { 'https://index.docker.io/v1/': token }, 'docker.io/library/nginx'), [
    'the-token',
  ]);
  assert.deepEqual(tried({}, { '*.io': token }, 'reg.io/app'), [], 'docker knows no globs');
});

test("a password in docker's file alone is not ours to use, nor is a file that docker cannot read", () => {
  assert.deepEqual(tried({}, { 'reg.io': basic('a:somebody') }, 'reg.io/app'), []);
  assert.deepEqual(tried({}, { 'reg.io': token, 'bad.io': { auth: '%' } }, 'reg.io/app'), []);
  assert.deepEqual(tried(undefined, undefined, 'reg.io/app'), []);
});
