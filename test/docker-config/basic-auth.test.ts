import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  canonicalBasicAuth,
  decodeBasicAuth,
  encodeBasicAuth,
} from '../../agent/docker-config/basic-auth.ts';

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
    'Zm9vOmJh====',
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

/** Decodes as strictly as Go's base64.StdEncoding and RawStdEncoding do, by the letter; undefined if they refuse. */
function decodeStrictly(field: string): string | undefined {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const text = field.replaceAll('\r', '').replaceAll('\n', '');
  const letters = text.endsWith('==') ? text.slice(0, -2) : text.replace(/=$/, '');
  const padding = text.length - letters.length;
  if (letters.length % 4 === 1 || (padding > 0 && (letters.length + padding) % 4 !== 0)) return undefined;
  let bits = '';
  for (const letter of letters) {
    const value = alphabet.indexOf(letter);
    if (value < 0) return undefined;
    bits += value.toString(2).padStart(6, '0');
  }
  const bytes = bits.match(/.{8}/g) ?? [];
  return String.fromCharCode(...bytes.map(byte => Number.parseInt(byte, 2)));
}

test('what strict decoding refuses is never taken, and what it yields is kept to the byte', () => {
  const nearly = fc.string({
    unit: fc.constantFrom(...'ABOgmdvY9w0O6+/', '=', '\n', '-', '_', ' '),
    maxLength: 12,
  });
  const bent = fc
    .tuple(fc.base64String({ maxLength: 24 }), fc.constantFrom('', '=', '==', '====', '\n', ' ', '-'))
    .map(parts => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(nearly, bent, fc.string()), text => {
      const decoded = decodeStrictly(text);
      const auth = canonicalBasicAuth(text)?.reveal();
      if (decoded?.includes(':') !== true) assert.equal(auth, undefined);
      else assert.equal(Buffer.from(auth ?? '', 'base64').toString('latin1'), decoded);
    }),
    { numRuns: 5_000 },
  );
});
