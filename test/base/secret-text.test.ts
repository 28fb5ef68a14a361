import assert from 'node:assert/strict';
import { test } from 'node:test';
import { format, inspect } from 'node:util';
import { SecretText } from '../../agent/base/secret-text.ts';

test('a secret is told by reveal and by nothing else', () => {
  const secret = new SecretText('hunter2');
  assert.equal(secret.reveal(), 'hunter2');
  const shown = [
    `${secret}`,
    `x${secret}`,
    String(secret),
    JSON.stringify({ secret }),
    inspect(secret, { depth: 9, showHidden: true }),
    inspect({ deep: [secret] }, { depth: 9 }),
    format('%s %o %j', secret, secret, secret),
    Object.entries(secret).join(),
    structuredClone(Object.keys(secret)).join(),
    new Error('failed', { cause: secret }).stack ?? '',
  ];
  for (const text of shown) assert.ok(!text.includes('hunter2'), text);
});
