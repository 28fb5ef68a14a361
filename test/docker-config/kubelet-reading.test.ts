import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DockerConfigForm } from '../../agent/docker-config/docker-config-text.ts';
import { isVoidingForKubelet, readAsKubelet } from '../../agent/docker-config/kubelet-reading.ts';

type Read = Readonly<Record<string, readonly [username: string, password: string]>>;

/** What the kubelet finds in a file; undefined if it drops it. */
function read(text: string, form?: DockerConfigForm): Read | undefined {
  const reading = readAsKubelet(text, form);
  if (!reading.valid) return undefined;
  return Object.fromEntries(
    [...reading.credentials].map(([key, { username, password }]) => [key, [username, password.reveal()]]),
  );
}

/** What the kubelet makes of an entry; undefined if it voids the file. */
function readEntry(entry: string): readonly [username: string, password: string] | undefined {
  return read(`{"auths": {"a.io": ${entry}}}`)?.['a.io'];
}

const auth = (text: string) => `{"auth": ${JSON.stringify(text)}}`;

// https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/credentialprovider/config_test.go
test('an auth is padded or unpadded standard base64 of a user, a colon and a password', () => {
  const rows: readonly (readonly [field: string, username: string, password: string])[] = [
    ['Zm9vOmJhcg==', 'foo', 'bar'],
    ['Zm9vOmJhcg', 'foo', 'bar'],
    ['Zm9vOm\nJhcg==\n', 'foo', 'bar'],
    ['\r\nZm9vOmJhcg=\n=', 'foo', 'bar'],
    ['dTpw\n', 'u', 'p'],
    ['dTpwOnE', 'u', 'p:q'],
    ['OnA=', '', 'p'],
    ['dTo=', 'u', ''],
    ['Og', '', ''],
    // The bits that no byte is made of do not have to be zero.
    ['Oh==', '', ''],
    ['dToA', 'u', '\0'],
  ];
  for (const [field, username, password] of rows)
    assert.deepEqual(readEntry(auth(field)), [username, password], JSON.stringify(field));
});

test('any other auth voids the file', () => {
  const bad = [
    ...[
      'cGFudHM=',
      'pants',
      'Zm9vOmJhcg=',
      'Zm9vOmJhcg===',
      'Zm9vOmJhcg== ',
      ' Zm9vOmJhcg==',
      '\tZm9vOmJhcg==',
    ],
    ...['Zm9v_mJhcg==', 'Zm9v-mJhcg', '=', '====', '\n', ' ', 'Og==Og==', 'dTpw=', '=dTpw', 'dT=pw', 'dTpwx'],
    ...['dTpw\0', 'dTpw\u00a0', '\ufeffdTpw', 'ｄTpw'],
  ];
  for (const field of bad) assert.equal(readEntry(auth(field)), undefined, JSON.stringify(field));
});

test('an entry is an object of strings, or null; the auth wins, then the last of a name in whatever case', () => {
  const rows: readonly (readonly [entry: string, username: string, password: string])[] = [
    ['null', '', ''],
    ['{}', '', ''],
    ['{"username": "u", "password": "p", "email": "e"}', 'u', 'p'],
    ['{"username": "x", "auth": "dTpw", "password": "y"}', 'u', 'p'],
    ['{"username": "u", "password": "p", "auth": ""}', 'u', 'p'],
    ['{"AUTH": "dTpw"}', 'u', 'p'],
    ['{"\\u0061uth": "dTpw"}', 'u', 'p'],
    ['{"uſername": "u", "paſsWORD": "p"}', 'u', 'p'],
    ['{"auth": "pants", "Auth": "dTpw"}', 'u', 'p'],
    ['{"auth": "dTpw", "auth": null}', 'u', 'p'],
    ['{"auth": "dTpw", "auth": "", "username": "v"}', 'v', ''],
    ['{"auth": "dTpw", "identitytoken": 3, "registrytoken": [], "serveraddress": {}, "": 1e999}', 'u', 'p'],
    ['{"usernáme": 3, "auth ": 3, "emaıl": 3, "email_": 3}', '', ''],
    ['{"username": "\\ud800", "password": "\\u0000"}', '\ud800', '\0'],
  ];
  for (const [entry, username, password] of rows)
    assert.deepEqual(readEntry(entry), [username, password], entry);
});

test('an entry of another kind, or with a field of another kind, voids the file', () => {
  const kinds = ['true', '0', '[]', '{}', '[null]'];
  const bad = [
    ...['"dTpw"', 'true', '0', '[]', '[null]'],
    ...['auth', 'username', 'password', 'email', 'AUTH', 'uſername'].flatMap(name =>
      kinds.map(value => `{"${name}": ${value}}`),
    ),
    '{"auth": 3, "auth": "dTpw"}',
    '{"auth": "dTpw", "email": 3}',
  ];
  for (const entry of bad) assert.equal(readEntry(entry), undefined, entry);
});

test('a bad entry voids the file wherever it stands, also where a later one takes its place', () => {
  const bad = auth('pants');
  for (const text of [
    `{"auths": {"a.io": ${bad}, "a.io": {}}}`,
    `{"auths": {"a.io": ${bad}}, "auths": null}`,
    `{"auths": {"a.io": ${bad}}, "auths": {}}`,
    `{"auths": {}, "AUTHS": {"a.io": ${bad}}}`,
    `{"auths": {"": ${bad}}}`,
    `{"auths": {"no key %": ${bad}}}`,
  ])
    assert.equal(read(text), undefined, text);
  // Elsewhere than in the entries it is nothing.
  assert.deepEqual(read(`{"auth": {"a.io": ${bad}}, "credHelpers": 3}`), {});
});

test('a document without an entry is valid and hides every later one', () => {
  for (const text of [
    ...['{}', 'null', ' {\t}\r\n', '{"auths": null}', '{"auths": {}}', '{"AUTHS": {}}', '{"auths ": []}'],
    ...['{"HttpHeaders": null}', '{"HttpHeaders": {"a": "b", "c": null}}', '{"httpheaders": {}}'],
    ...['{"credsStore": []}', '{"a.io": {"auth": "dTpw"}}', '{"x": 1e999, "x": "\\ud800"}'],
  ])
    assert.deepEqual(read(text), {}, text);
});

test('a document that Go does not decode is dropped', () => {
  for (const text of [
    ...[
      '',
      ' ',
      '\n',
      '[]',
      '""',
      '0',
      'true',
      '[{}]',
      '"{}"',
      '\ufeff{}',
      '{} {}',
      '{}x',
      '{}\0',
      '{},',
      'nullx',
    ],
    ...[
      '{',
      '}',
      '{"auths"}',
      '{"auths": }',
      '{"auths": {},}',
      "{'auths': {}}",
      '{auths: {}}',
      '{} // x',
      '/**/{}',
    ],
    ...['{"x": 01}', '{"x": .5}', '{"x": NaN}', '{"x": "\t"}', '{"x": "\\x"}', '{"x": "\\u12"}', '\u00a0{}'],
    ...[
      '{"auths": []}',
      '{"auths": "x"}',
      '{"auths": 0}',
      '{"auths": false}',
      '{"authſ": []}',
      '{"auths": {}, "Auths": 3}',
    ],
    ...[
      '{"HttpHeaders": []}',
      '{"HttpHeaders": "x"}',
      '{"HttpHeaders": {"a": 1}}',
      '{"httpheaderſ": {"a": {}}}',
    ],
  ])
    assert.equal(read(text), undefined, JSON.stringify(text));
});

test('several auths add up, the last entry of a key wins, and null takes all before it away', () => {
  const rows: readonly (readonly [text: string, expected: Read])[] = [
    ['{"auths": {"a": {"username": "1"}}, "auths": {"b": {}}}', { a: ['1', ''], b: ['', ''] }],
    ['{"auths": {"a": {"username": "1"}}, "AuthS": {"a": {"password": "2"}}}', { a: ['', '2'] }],
    ['{"auths": {"a": {"username": "1"}, "a": null}}', { a: ['', ''] }],
    ['{"auths": {"a": {}}, "authſ": null, "auths": {"b": {}}}', { b: ['', ''] }],
    ['{"auths": {"a": {}, "A": {}, "\\u0061": {"username": "1"}}}', { a: ['1', ''], A: ['', ''] }],
    // Half a character is to Go the sign for one that cannot be read.
    ['{"auths": {"\\ud800": {}, "\ufffd": {"username": "1"}}}', { '\ufffd': ['1', ''] }],
    ['{"auths": {"__proto__": {"username": "1"}}}', Object.fromEntries([['__proto__', ['1', '']]])],
  ];
  for (const [text, expected] of rows) assert.deepEqual(read(text), expected, text);
});

test('in the older form the entries stand at the top, and every key is one', () => {
  assert.deepEqual(read('{"a": {"auth": "dTpw"}, "a": {}, "auths": null}', 'dockercfg'), {
    a: ['', ''],
    auths: ['', ''],
  });
  assert.deepEqual(read('null', 'dockercfg'), {});
  for (const text of ['{"auths": {"a": {}}, "HttpHeaders": 3}', '{"a": 3}', '[]', '{"a": {}} x'])
    assert.equal(read(text, 'dockercfg'), undefined, text);
});

test('nesting without end is refused and no crash', () => {
  for (const [open, close] of [
    ['[', ']'],
    ['{"x":', '}'],
  ] as const) {
    assert.deepEqual(read(`{"x": ${open.repeat(1_000)}1${close.repeat(1_000)}}`), {});
    assert.equal(read(`{"x": ${open.repeat(500_000)}1${close.repeat(500_000)}}`), undefined);
    assert.equal(read(open.repeat(500_000)), undefined);
  }
});

/** Nearly good documents, each of some members with a name and a raw value. */
const badEntry = fc.constantFrom('3', '[]', '""', auth('pants'), auth('x'), '{"auth": 3}', '{"email": {}}');
const goodEntry = fc.constantFrom('null', '{}', auth('dTpw'), auth('dTo'), '{"username": "u", "x": [1]}');
const key = fc.constantFrom('a.io', 'b.io', '', '__proto__', 'https://index.docker.io/v1/', '%');
const object = (names: fc.Arbitrary<string>, values: fc.Arbitrary<string>) =>
  fc
    .array(fc.tuple(names, values), { maxLength: 4 })
    .map(members => `{${members.map(([name, value]) => `${JSON.stringify(name)}: ${value}`).join(', ')}}`);
const other = fc.tuple(fc.constantFrom('x', 'credHelpers', 'auth', 'HttpHeader'), fc.json({ maxDepth: 2 }));
const auths = fc.tuple(
  fc.constantFrom('auths', 'AUTHS', 'authſ'),
  fc.oneof(object(key, goodEntry), fc.constant('null')),
);
const goodMembers = fc.array(fc.oneof(other, auths), { maxLength: 4 });
const document = (members: readonly (readonly [string, string])[]) =>
  `{${members.map(([name, value]) => `${JSON.stringify(name)}: ${value}`).join(', ')}}`;

test('a valid document stays valid with another good entry, which then counts', () => {
  fc.assert(
    fc.property(goodMembers, members => {
      const before = read(document(members));
      assert.ok(before);
      const after = read(document([...members, ['auths', `{"new.io": ${auth('dTpw')}}`]]));
      assert.deepEqual(after, { ...before, 'new.io': ['u', 'p'] });
    }),
  );
});

test('a valid document with a bad entry anywhere is void', () => {
  fc.assert(
    fc.property(goodMembers, fc.nat(4), key, badEntry, (members, at, registry, entry) => {
      const bad = ['auths', `{${JSON.stringify(registry)}: ${entry}}`] as const;
      assert.equal(read(document([...members.slice(0, at), bad, ...members.slice(at)])), undefined);
    }),
  );
});

test('an entry voids a file exactly if it is said to', () => {
  const wild = fc.oneof(
    badEntry,
    goodEntry,
    fc.json({ maxDepth: 1 }),
    fc.string(),
    object(
      fc.constantFrom('auth', 'Auth', 'username', 'email', 'x'),
      fc.oneof(fc.json({ maxDepth: 0 }), goodEntry),
    ),
  );
  fc.assert(
    fc.property(wild, entry => {
      assert.equal(isVoidingForKubelet(entry), readEntry(entry) === undefined, entry);
    }),
    { numRuns: 5_000 },
  );
});

test('no document is a crash, and what is no JSON is never valid', () => {
  const letters = fc.string({
    unit: fc.constantFrom(...'{}[]",:\\ nul0', '"auths"', '"auth"', '"dTpw"', 'null', '\ufeff'),
    maxLength: 20,
  });
  fc.assert(
    fc.property(fc.oneof(letters, fc.string({ unit: 'binary' })), fc.boolean(), (text, legacy) => {
      const reading = readAsKubelet(text, legacy ? 'dockercfg' : 'dockerconfigjson');
      if (reading.valid) assert.doesNotThrow(() => JSON.parse(text));
      else assert.notEqual(reading.problem, '');
    }),
    { numRuns: 10_000 },
  );
});

test('what is wrong is told, and no secret in it', () => {
  for (const [text, problem] of [
    ['x', /not JSON/],
    ['[]', /list.*object/],
    ['{"Auths": []}', /"auths" is a list/],
    [`{"auths": {"a.io": ${auth('c2VjcmV0')}}}`, /"a\.io".*"auth"/],
    ['{"auths": {"a.io": {"password": 12345}}}', /"a\.io".*"password" is a number/],
    ['{"HttpHeaders": {"a": 12345}}', /"HttpHeaders" is a number/],
  ] as const) {
    const reading = readAsKubelet(text);
    assert.ok(!reading.valid);
    assert.match(reading.problem, problem);
    assert.doesNotMatch(reading.problem, /c2VjcmV0|12345/);
  }
});
