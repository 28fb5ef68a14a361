import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretText } from '../../agent/base/secret-text.ts';
import { hideCredential } from '../../agent/runtimes/hide-credential.ts';

const hiderOf = (password: string, username = 'robot', ...sent: string[]) =>
  hideCredential({ username, password: new SecretText(password) }, ...sent);

test('a password is hidden as it is and in every encoding, and nothing else is', () => {
  for (const password of [
    '~~~???>>>ÿ',
    'a word & "more" <b>',
    "(it's) 100%!*",
    'secret',
    'back\\slash',
    'x+y/z==',
  ]) {
    const login = Buffer.from(`robot:${password}`);
    const base64 = login.toString('base64');
    const forms = {
      'as it is': password,
      'in base64': base64,
      'in base64 without padding': base64.replace(/=+$/, ''),
      'in URL-safe base64': login.toString('base64url'),
      'in URL-safe base64 with padding': base64.replaceAll('+', '-').replaceAll('/', '_'),
      'as base64 in a URL': encodeURIComponent(base64),
      'in a URL': encodeURIComponent(password),
      'in a URL in lower case': encodeURIComponent(password).replace(/%../g, code => code.toLowerCase()),
      'in JSON': JSON.stringify(password).slice(1, -1),
      'in JSON of Go': JSON.stringify(password)
        .slice(1, -1)
        .replaceAll('<', '\\u003c')
        .replaceAll('>', '\\u003e')
        .replaceAll('&', '\\u0026'),
    };
    for (const [what, form] of Object.entries(forms))
      assert.equal(
        hiderOf(password)(`robot: (${form}) (${form}).`),
        'robot: ([secret]) ([secret]).',
        `${password} ${what}`,
      );
  }
});

test('an identity token is hidden, alone and as the password of nobody', () => {
  const hide = hideCredential({ identityToken: new SecretText('IDENTITY-T0KEN') });
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const text = `IDENTITY-T0KEN ${base64('IDENTITY-T0KEN')} ${base64(':IDENTITY-T0KEN')}`;
  assert.equal(hide(text), '[secret] [secret] [secret]');
});

test('what was sent with the credential in it is hidden, too', () => {
  assert.equal(hiderOf('password', 'robot', 'aGVhZGVy')('got aGVhZGVy%'), 'got [secret]%');
});

test('without a credential, or with an empty password, a text stays as it is', () => {
  for (const hide of [hideCredential(undefined), hiderOf(''), hiderOf('', '')])
    assert.equal(hide('denied: access to : is no'), 'denied: access to : is no');
});

test('a text with a very short password as a word in it is not shown at all, and another one is shown whole', () => {
  for (const password of ['a', 'abc', '?', '401']) {
    const hide = hiderOf(password);
    const login = Buffer.from(`robot:${password}`).toString('base64');
    assert.match(hide(`denied: ${password}: no`), /^it says why, with the password in it/);
    assert.equal(hide(`denied: xabcx xax ${login}`), 'denied: xabcx xax [secret]');
  }
});

test('a megabyte is looked through in no time', { timeout: 5_000 }, () => {
  const hide = hiderOf(`${'a'.repeat(2_000)}b`);
  for (const sign of ['a', 'aaab', ' ', '%']) assert.ok(hide(sign.repeat(1_000_000)).length >= 1_000_000);
});
