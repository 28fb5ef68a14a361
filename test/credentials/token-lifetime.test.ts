import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SecretText } from '../../agent/base/secret-text.ts';
import { commonLifetime, lifetimeOf, unlimited } from '../../agent/credentials/token-lifetime.ts';
import { ecrToken, webToken } from './tokens.ts';

const seconds = 1_800_000_000;
const time = new Date(seconds * 1_000);

test('a JSON Web Token tells when it begins and ends', () => {
  assert.deepEqual(lifetimeOf(webToken({ exp: seconds })), { validFrom: null, expiresAt: time });
  assert.deepEqual(lifetimeOf(webToken({ nbf: seconds, exp: seconds + 0.5 })), {
    validFrom: time,
    expiresAt: new Date(seconds * 1_000 + 500),
  });
  assert.deepEqual(lifetimeOf(webToken({ sub: 'x' })), unlimited);
});

test("a token of Amazon's ECR tells when it ends", () => {
  assert.deepEqual(lifetimeOf(ecrToken(seconds)), { validFrom: null, expiresAt: time });
});

test('what is no token, or says nonsense, tells nothing', () => {
  for (const text of [
    '',
    'password',
    'a.b.c',
    'eyJ.eyJ.x',
    `x.${Buffer.from('[1]').toString('base64url')}.y`,
    Buffer.from('{"expiration": "soon"}').toString('base64'),
    Buffer.from('{"expiration": 1e300}').toString('base64'),
    Buffer.from('{"payload": 1').toString('base64'),
  ])
    assert.deepEqual(lifetimeOf(new SecretText(text)), unlimited, text);
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.base64String(),
        fc.json().map(json => Buffer.from(json).toString('base64')),
      ),
      text => {
        const { expiresAt } = lifetimeOf(new SecretText(text));
        assert.ok(expiresAt === null || !Number.isNaN(expiresAt.getTime()));
      },
    ),
  );
});

test('of two secrets the later beginning and the earlier end count', () => {
  const [early, late] = [new Date(1), new Date(2)];
  const lifetimes = [{ validFrom: early, expiresAt: late }, { validFrom: late, expiresAt: early }, unlimited];
  assert.deepEqual(commonLifetime(lifetimes), { validFrom: late, expiresAt: early });
  assert.deepEqual(commonLifetime([]), unlimited);
});
