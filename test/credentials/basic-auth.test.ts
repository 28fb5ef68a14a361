import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalBasicAuth, decodeBasicAuth, encodeBasicAuth } from '../../agent/credentials/basic-auth.ts';

// https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/credentialprovider/config_test.go
test('what the kubelet decodes is taken, and what it refuses is not', () => {
  for (const good of ['Zm9vOmJhcg==', 'Zm9vOmJhcg', 'Zm9vOm\nJhcg==\n', 'Zm9vOmJhcg==\r\n']) {
    const auth = canonicalBasicAuth(good);
    assert.ok(auth, good);
    assert.equal(auth.reveal(), 'Zm9vOmJhcg==');
    const { username, password } = decodeBasicAuth(auth);
    assert.deepEqual([username, password.reveal()], ['foo', 'bar']);
  }
  for (const bad of [
    'cGFudHM=',
    'Zm9vOmJhcg== ',
    ' Zm9vOmJhcg==',
    'pants',
    'Zm9vOmJhcg=',
    'Zm9v_mJhcg==',
    'Zm9vOmJhcg===',
    '',
  ]) {
    assert.equal(canonicalBasicAuth(bad), undefined, bad);
  }
});

test('a password may hold anything, a colon too', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }).filter(text => !text.includes(':')),
      fc.string({ unit: 'binary' }),
      (user, secret) => {
        const { username, password } = decodeBasicAuth(encodeBasicAuth(user, secret));
        assert.equal(Buffer.from(username).compare(Buffer.from(user)), 0);
        assert.equal(Buffer.from(password.reveal()).compare(Buffer.from(secret)), 0);
      },
    ),
  );
});

test('bytes that are no text survive in the canonical form', () => {
  const bytes = Buffer.from([0x75, 0x3a, 0xff, 0xfe, 0x00]);
  const unpadded = bytes.toString('base64').replace(/=+$/, '');
  assert.equal(canonicalBasicAuth(unpadded)?.reveal(), bytes.toString('base64'));
});

test('nothing is taken that is not strict base64', () => {
  fc.assert(
    fc.property(fc.string(), text => {
      const auth = canonicalBasicAuth(text);
      const plain = text.replace(/[\r\n]/g, '').replace(/=+$/, '');
      assert.ok(auth === undefined || auth.reveal().replace(/=+$/, '').slice(0, -1) === plain.slice(0, -1));
    }),
  );
});
