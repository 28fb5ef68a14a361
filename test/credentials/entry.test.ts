import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretText } from '../../agent/base/secret-text.ts';
import { type EntryParts, entryValue, makeEntry } from '../../agent/credentials/entry.ts';
import type { Reader } from '../../agent/credentials/target-kind.ts';
import { encodeBasicAuth } from '../../agent/docker-config/basic-auth.ts';
import { readAsDocker } from '../../agent/docker-config/docker-cli-reading.ts';

function values(parts: Omit<EntryParts, 'registry' | 'source'>) {
  const entry = makeEntry({ registry: 'r.io', source: 's', ...parts });
  const value = (reader: Reader): unknown => JSON.parse(entryValue(entry, reader) ?? 'null');
  const docker = entryValue(entry, 'docker') ?? '{}';
  assert.ok(readAsDocker(`{"auths": {"r.io": ${docker}}}`).valid, 'docker must never stumble over it');
  return { kubelet: value('kubelet'), docker: value('docker') };
}

const identityToken = new SecretText('T');
const auth = (user: string, password: string) => encodeBasicAuth(user, password);
const written = (user: string, password: string) => auth(user, password).reveal();

test('a user name and password are for both', () => {
  const value = { auth: written('u', 'p') };
  assert.deepEqual(values({ auth: auth('u', 'p') }), { kubelet: value, docker: value });
});

test("an identity token is docker's alone, with a user name that others accept", () => {
  assert.deepEqual(values({ identityToken }), {
    kubelet: null,
    docker: { auth: written('<token>', ''), identitytoken: 'T' },
  });
  assert.deepEqual(values({ auth: auth('u', ''), identityToken }), {
    kubelet: null,
    docker: { auth: written('u', ''), identitytoken: 'T' },
  });
});

test('with a password beside the token, the kubelet gets the password', () => {
  assert.deepEqual(values({ auth: auth('u', 'p'), identityToken }), {
    kubelet: { auth: written('u', 'p') },
    docker: { auth: written('u', 'p'), identitytoken: 'T' },
  });
});

test('without a user name docker would drop its whole file, so only the kubelet gets it', () => {
  assert.deepEqual(values({ auth: auth('', 'p') }), { kubelet: { auth: written('', 'p') }, docker: null });
});

test('an entry cannot be printed with its secrets', () => {
  const entry = makeEntry({
    registry: 'r.io',
    source: 's',
    auth: auth('u', 'hunter2'),
    identityToken: new SecretText('hunter3'),
  });
  assert.doesNotMatch(JSON.stringify(entry), /hunter|aHVudGVy/);
});
