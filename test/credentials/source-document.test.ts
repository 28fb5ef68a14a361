import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DocumentReading, readDocument } from '../../agent/credentials/source-document.ts';
import { revealed } from './entries.ts';

const secretText = 'hunter2-Passw0rd';
const auth = Buffer.from(`user:${secretText}`).toString('base64');

function entriesOf(reading: DocumentReading): Record<string, string> {
  assert.ok(reading.ok, reading.ok ? '' : reading.problem);
  return Object.fromEntries(reading.entries.map(entry => [entry.registry, entry.auth?.reveal() ?? '']));
}

test('both forms of a document say the same, in any case of the field names', () => {
  const auths = { 'a.example.com': { auth }, 'b.example.com': { username: 'user', password: secretText } };
  const expected = { 'a.example.com': auth, 'b.example.com': auth };
  assert.deepEqual(entriesOf(readDocument(JSON.stringify({ auths }), 'dockerconfigjson', 's')), expected);
  assert.deepEqual(entriesOf(readDocument(JSON.stringify(auths), 'dockercfg', 's')), expected);
  const shouting = JSON.stringify({ AUTHS: { 'a.example.com': { AUTH: auth } } });
  assert.deepEqual(entriesOf(readDocument(shouting, 'dockerconfigjson', 's')), { 'a.example.com': auth });
});

test('a bad entry is left out and reported, and the others go on', () => {
  const auths = {
    good: { auth },
    list: [],
    text: 'x',
    nothing: {},
    number: { auth: 3 },
    odd: { auth: '%%%' },
    colon: { username: 'a:b', password: 'c' },
  };
  const reading = readDocument(JSON.stringify({ auths }), 'dockerconfigjson', 's');
  assert.deepEqual(entriesOf(reading), { good: auth });
  assert.ok(reading.ok);
  assert.deepEqual(reading.leftOut, ['list', 'text', 'number', 'odd', 'colon', 'nothing']);
  assert.deepEqual(reading.problems, [
    'the entry "list" is left out: it is a list and should be an object',
    'the entry "text" is left out: it is a string and should be an object',
    'the entry "number" is left out: its "auth" is a number and should be a string',
    'the entry "odd" is left out: its "auth" is not the base64 of user:password',
    'the entry "colon" is left out: its "username" contains a colon',
    'the entry "nothing" is left out: it has neither "auth" nor "username" and "password"',
  ]);
});

test('what is left to helpers is told: by credHelpers, and by credsStore for the registries without a credential', () => {
  const text = JSON.stringify({
    auths: { 'a.io': { auth }, 'b.io': {}, 'c.io': {} },
    credHelpers: { 'a.io': 'first', 'c.io': 'second', 'd.io': 'second', 'e.io': 3, 'u:p@f.io': 'x' },
    credsStore: 'store',
  });
  const reading = readDocument(text, 'dockerconfigjson', 's');
  assert.ok(reading.ok);
  assert.deepEqual(
    reading.helpers.map(({ registry, suffix }) => `${registry} ${suffix}`),
    ['b.io store', 'c.io second', 'a.io first', 'd.io second'],
  );
  assert.deepEqual(reading.leftOut, []);
  assert.deepEqual(reading.problems, [
    'the helper of "e.io" is left out: it is a number and should be a string',
    'the helper of "f.io" is left out: its name holds a user name or password',
  ]);
});

test('helpers that cannot be understood are told and harm nothing else', () => {
  const problems = (document: object) => {
    const reading = readDocument(
      JSON.stringify({ auths: { 'a.io': { auth } }, ...document }),
      'dockerconfigjson',
      's',
    );
    assert.deepEqual(entriesOf(reading), { 'a.io': auth });
    return reading.ok ? reading.problems : [];
  };
  assert.deepEqual(problems({ credsStore: 'x' }), [
    'its credsStore serves no registry: name each of them in "auths" with {}',
  ]);
  assert.deepEqual(problems({ credsStore: [] }), [
    'its credsStore is ignored: it is a list and should be a string',
  ]);
  assert.deepEqual(problems({ credHelpers: 'x' }), [
    'its credHelpers is ignored: it is a string and should be an object',
  ]);
});

test('an identity token is an entry, with a password beside it or alone', () => {
  const auths = {
    'a.io': { auth, identitytoken: 'T1' },
    'b.io': { identitytoken: 'T2' },
    'c.io': { identitytoken: 3 },
  };
  const reading = readDocument(JSON.stringify({ auths }), 'dockerconfigjson', 's');
  assert.ok(reading.ok);
  assert.deepEqual(reading.entries.map(revealed), [`a.io user:${secretText} T1`, 'b.io T2']);
  assert.deepEqual(reading.leftOut, ['c.io']);
});

test('of an entry that is named twice the last one counts, and several lists add up', () => {
  const text = `{"auths": {"a.io": {"auth": "x"}, "a.io": {"auth": "${auth}"}}, "AUTHS": {"b.io": {"auth": "${auth}"}}}`;
  assert.deepEqual(entriesOf(readDocument(text, 'dockerconfigjson', 's')), { 'a.io': auth, 'b.io': auth });
});

test('a credential that is no text is left out: the kubelet could tell no runtime of it', () => {
  const bytes = Buffer.from([0x75, 0x3a, 0xff]).toString('base64');
  const reading = readDocument(
    JSON.stringify({ auths: { 'a.io': { auth: bytes } } }),
    'dockerconfigjson',
    's',
  );
  assert.ok(reading.ok);
  assert.deepEqual(reading.problems, ['the entry "a.io" is left out: its "auth" is not UTF-8 text']);
});

test('a document that is none is refused as a whole, with what it is', () => {
  const problems: readonly (readonly [string, string])[] = [
    ['', 'it is empty'],
    [' \n', 'it is empty'],
    ['{', 'it is not JSON'],
    ['[]', 'it is a list and should be an object'],
    ['null', 'it is null and should be an object'],
    ['{"auths": []}', '"auths" is a list and should be an object'],
    ['{"auths": "x"}', '"auths" is a string and should be an object'],
  ];
  for (const [text, problem] of problems) {
    assert.deepEqual(readDocument(text, 'dockerconfigjson', 's'), { ok: false, problem });
  }
  assert.deepEqual(entriesOf(readDocument('{"auths": null}', 'dockerconfigjson', 's')), {});
});

test('a key of the name of a prototype is a key like any other', () => {
  const text = `{"auths": {"__proto__": {"auth": "${auth}"}, "constructor": {"auth": "${auth}"}}}`;
  const reading = readDocument(text, 'dockerconfigjson', 's');
  assert.ok(reading.ok);
  assert.deepEqual(
    reading.entries.map(entry => entry.registry),
    ['__proto__', 'constructor'],
  );
});

test('no mutilated document is a crash, and none is quoted in a message', () => {
  const good = JSON.stringify({
    auths: { 'r.example.com': { auth, password: secretText }, x: { username: secretText } },
  });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(good.length), fc.nat(3), fc.string({ maxLength: 3 })), {
        minLength: 1,
        maxLength: 4,
      }),
      edits => {
        let text = good;
        for (const [at, removed, inserted] of edits)
          text = text.slice(0, at) + inserted + text.slice(at + removed);
        const reading = readDocument(text, 'dockerconfigjson', 's');
        const messages = reading.ok ? reading.problems.join() : reading.problem;
        assert.ok(!messages.includes(secretText.slice(4, 12)), messages);
      },
    ),
    { numRuns: 10_000 },
  );
});

test('a registry with a user name or password in its URL is left out, and what stands there is not shown', () => {
  const names = [
    `https://user:${secretText}@r.io/v1/`,
    `${secretText}@s.io`,
    `HTTP://a@b:${secretText}@t.io`,
  ];
  const auths = Object.fromEntries([...names, 'r.io/team@x'].map(name => [name, { auth }]));
  const reading = readDocument(JSON.stringify({ auths }), 'dockerconfigjson', 's');
  assert.deepEqual(entriesOf(reading), { 'r.io/team@x': auth });
  assert.ok(reading.ok);
  assert.deepEqual(reading.leftOut, names);
  assert.deepEqual(reading.problems, [
    'the entry "https://r.io/v1/" is left out: its name holds a user name or password',
    'the entry "s.io" is left out: its name holds a user name or password',
    'the entry "HTTP://t.io" is left out: its name holds a user name or password',
  ]);
});

test('a registry name of control characters stays on one line of a message', () => {
  const reading = readDocument('{"auths": {"a\\n\\u001b[2Jb": 3}}', 'dockerconfigjson', 's');
  assert.ok(reading.ok);
  assert.match(reading.problems.join(), /^the entry "a\\n\\u001b\[2Jb" is left out/);
});

test('of very many problems the first twenty are told, and how many more there are', () => {
  const auths = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`r${index}.io`, 3]));
  const reading = readDocument(JSON.stringify({ auths }), 'dockerconfigjson', 's');
  assert.ok(reading.ok);
  assert.deepEqual([reading.leftOut.length, reading.problems.length], [1_000, 21]);
  assert.equal(reading.problems.at(-1), 'there are 980 more problems like these');
});
