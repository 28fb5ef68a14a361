import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DockerReading, hostOfKey, readAsDocker } from '../../agent/docker-config/docker-cli-reading.ts';
import { readAsKubelet } from '../../agent/docker-config/kubelet-reading.ts';

type DockerAnswer = ReturnType<Extract<DockerReading, { valid: true }>['answer']>;

/** Where docker's CLI looks for a host; undefined if it cannot read the file. */
function ask(text: string, host: string): DockerAnswer | undefined {
  const reading = readAsDocker(text);
  return reading.valid ? reading.answer(host) : undefined;
}

const none: DockerAnswer = { kind: 'none' };
const entry = (registry: string): DockerAnswer => ({ kind: 'entry', registry, identityToken: undefined });
const helper = (name: string, setting: 'credHelpers' | 'credsStore'): DockerAnswer => ({
  kind: 'helper',
  helper: name,
  setting,
});
const isValid = (text: string) => readAsDocker(text).valid;
const auth = (text: string) => `{"auth": ${JSON.stringify(text)}}`;

test('the entry of a host is the one under its very name, else any whose host it is', () => {
  const rows: readonly (readonly [registry: string, host: string, isUsed: boolean])[] = [
    ['reg.io', 'reg.io', true],
    ['https://reg.io', 'reg.io', true],
    ['http://reg.io/v2/', 'reg.io', true],
    ['reg.io/team', 'reg.io', true],
    ['reg.io:5000/team', 'reg.io:5000', true],
    ['https://u@reg.io/', 'reg.io', true],
    ['https://reg.io?x', 'reg.io', true],
    ['https://reg.io:/', 'reg.io', true],
    ['[::1]:5000', '[::1]:5000', true],
    ['https://[::1]:5000/', '[::1]:5000', true],
    ['[::1]', '[::1]', true],
    ['reg.io:5000', 'reg.io', false],
    ['reg.io', 'reg.io:5000', false],
    ['Reg.io', 'reg.io', false],
    ['*.io', 'reg.io', false],
    ['r[e]g.io', 'reg.io', false],
    ['reg.io?x', 'reg.io', false],
    ['u@reg.io', 'reg.io', false],
    // Without a port, docker's CLI takes the brackets off the key and not off the host of the image.
    ['https://[::1]/', '[::1]', false],
  ];
  for (const [registry, host, isUsed] of rows) {
    const text = `{"auths": {${JSON.stringify(registry)}: {}}}`;
    assert.deepEqual(ask(text, host), isUsed ? entry(registry) : none, `${registry} for ${host}`);
  }
  const both = '{"auths": {"https://reg.io": {}, "reg.io": {}}}';
  assert.deepEqual(ask(both, 'reg.io'), entry('reg.io'));
});

test('Docker Hub has one key and no other', () => {
  for (const host of ['docker.io', 'index.docker.io']) {
    const others =
      '"docker.io": {}, "index.docker.io": {}, "https://index.docker.io/v2/": {}, "https://index.docker.io/v1": {}';
    assert.deepEqual(ask(`{"auths": {${others}}}`, host), none);
    const hub = 'https://index.docker.io/v1/';
    assert.deepEqual(ask(`{"auths": {${others}, "${hub}": {}}}`, host), entry(hub));
    assert.deepEqual(
      ask(`{"credHelpers": {"docker.io": "x", "${hub}": "y"}}`, host),
      helper('y', 'credHelpers'),
    );
  }
  assert.deepEqual(ask('{"auths": {"https://index.docker.io/v1/": {}}}', 'registry-1.docker.io'), none);
});

test('a helper goes before every entry, the one of the host before the general one', () => {
  const rows: readonly (readonly [settings: string, expected: DockerAnswer])[] = [
    ['"credsStore": "x"', helper('x', 'credsStore')],
    ['"credHelpers": {"reg.io": "y"}', helper('y', 'credHelpers')],
    ['"credsStore": "x", "credHelpers": {"reg.io": "y"}', helper('y', 'credHelpers')],
    ['"credsStore": "x", "credHelpers": {"https://reg.io": "y"}', helper('x', 'credsStore')],
    ['"credHelpers": {"*.io": "y", "reg.io/a": "y"}', entry('reg.io')],
    // One that is named and empty turns the general one off.
    ['"credsStore": "x", "credHelpers": {"reg.io": ""}', entry('reg.io')],
    ['"credsStore": "x", "credHelpers": {"reg.io": null}', entry('reg.io')],
    ['"credHelpers": {"reg.io": "y", "reg.io": null}', entry('reg.io')],
    ['"credHelpers": {"reg.io": "y"}, "CredHelpers": {"b.io": "z"}', helper('y', 'credHelpers')],
    ['"credHelpers": {"reg.io": "y"}, "credHelpers": null', entry('reg.io')],
    ['"credsStore": "x", "credsstore": null', helper('x', 'credsStore')],
    ['"credsStore": "x", "CREDSſTORE": ""', entry('reg.io')],
    ['"credsStore": "x", "auths": null', helper('x', 'credsStore')],
    ['"auths": null', none],
    ['"Auths": {}', entry('reg.io')],
  ];
  for (const [settings, expected] of rows)
    assert.deepEqual(ask(`{"auths": {"reg.io": {}}, ${settings}}`, 'reg.io'), expected, settings);
});

test('what begins with an object or null is a document, whatever follows; so is an empty file', () => {
  for (const text of ['', ' \t\r\n', '{}', 'null', ' {} ', '{}x', '{} {"auths": 3}', '{}]', 'null {', '{}\0'])
    assert.ok(isValid(text), JSON.stringify(text));
  assert.deepEqual(ask('{"auths": {"reg.io": {}}} garbage', 'reg.io'), entry('reg.io'));
  for (const text of [
    '[]',
    '0',
    '"{}"',
    'true',
    'x',
    '{',
    '{"a": 1',
    '{"a": 1,}',
    '\ufeff{}',
    '/**/{}',
    '\u00a0',
    'nul',
  ])
    assert.ok(!isValid(text), JSON.stringify(text));
});

test('an auth is padded base64 with a user name, which is stricter than the kubelet', () => {
  for (const good of ['dTpw', 'Zm9vOmJhcg==', 'Zm9vOm\nJhcg==\n', 'dTo=', 'dTpwOnE=', ''])
    assert.ok(isValid(`{"auths": {"a.io": ${auth(good)}}}`), JSON.stringify(good));
  for (const bad of [
    'Zm9vOmJhcg',
    'OnA=',
    'Og==',
    'cGFudHM=',
    'pants',
    'Zm9vOmJhcg== ',
    'Zm9v_mJhcg==',
    '\n',
    'dTpw=',
  ])
    assert.ok(!isValid(`{"auths": {"a.io": ${auth(bad)}}}`), JSON.stringify(bad));
  for (const good of ['null', '{}', '{"username": "", "identitytoken": "t", "x": 3}', '{"Email": null}'])
    assert.ok(isValid(`{"auths": {"a.io": ${good}}}`), good);
  for (const bad of [
    '3',
    '[]',
    '"dTpw"',
    '{"identitytoken": 3}',
    '{"registryToken": {}}',
    '{"serveraddress": []}',
    '{"paſſword": 1}',
  ])
    assert.ok(!isValid(`{"auths": {"a.io": ${bad}}}`), bad);
});

test('an auth that something later replaces may say anything, but not be of another kind', () => {
  const replaced = (value: string) => [
    `{"auths": {"a.io": ${value}, "a.io": {}}}`,
    `{"auths": {"a.io": ${value}}, "AUTHS": {"a.io": null}}`,
    `{"auths": {"a.io": ${value}}, "auths": null}`,
  ];
  for (const text of replaced(auth('pants'))) {
    assert.ok(isValid(text), text);
    assert.ok(!readAsKubelet(text).valid, text);
  }
  for (const text of replaced('{"auth": 3}')) assert.ok(!isValid(text), text);
});

test('a value of another kind in any field that docker knows makes it drop the file', () => {
  for (const field of [
    ...[
      '"auths": []',
      '"auths": "x"',
      '"HttpHeaders": {"a": 1}',
      '"httpheaders": []',
      '"credsStore": {}',
      '"credſſtore": 1',
    ],
    ...['"credHelpers": "x"', '"credHelpers": {"a": true}', '"aliases": ["x"]', '"features": {"a": true}'],
    ...[
      '"plugins": {"p": "x"}',
      '"plugins": {"p": {"a": 1}}',
      '"plugins": []',
      '"proxies": "x"',
      '"proxies": {"default": 1}',
    ],
    ...[
      '"proxies": {"default": {"httpProxy": 1}}',
      '"pruneFilters": "x"',
      '"pruneFilters": ["x", 1]',
      '"cliPluginsExtraDirs": {}',
    ],
    ...[
      '"experimental": true',
      '"psFormat": 1',
      '"detachKeys": []',
      '"detachKeys": {}',
      '"currentContext": false',
      '"tasksFormat": 1',
    ],
  ])
    assert.ok(!isValid(`{${field}}`), field);
  for (const field of [
    ...[
      '"auths": null',
      '"HttpHeaders": {"a": null}',
      '"plugins": {"p": null, "q": {"a": null}}',
      '"pruneFilters": [null]',
    ],
    ...[
      '"proxies": {"default": null, "a": {"httpProxy": "x", "y": 1}}',
      '"experimental": "enabled"',
      '"experimental": null',
    ],
    ...['"kubernetes": 3', '"Filename": 3', '"x": [1]', '"-": 3', '"": {}', '"psFormat ": 1'],
  ])
    assert.ok(isValid(`{${field}}`), field);
});

test('what is wrong is told, and no secret in it', () => {
  for (const [text, problem] of [
    ['x', /no JSON object/],
    ['{"Auths": {"a.io": 3}}', /"auths" holds "a\.io", which is a number/],
    ['{"auths": {"a.io": {"password": 12345}}}', /"a\.io".*"password" is a number/],
    [`{"auths": {"a.io": ${auth('c2VjcmV0')}}}`, /"a\.io".*"auth"/],
    [`{"auths": {"a.io": ${auth('OnNlY3JldA==')}}}`, /"a\.io".*no user name/],
    ['{"pruneFilters": ["x", 12345]}', /"pruneFilters" holds item 2, which is a number/],
    ['{"experimental": true}', /"experimental" is a boolean/],
  ] as const) {
    const reading = readAsDocker(text);
    assert.ok(!reading.valid, text);
    assert.match(reading.problem, problem);
    assert.doesNotMatch(reading.problem, /c2VjcmV0|OnNlY3JldA|12345/);
  }
});

test('the host of a key is the one that docker reads in it', () => {
  const rows: readonly (readonly [registry: string, host: string])[] = [
    ['reg.io', 'reg.io'],
    ['reg.io:5000/a', 'reg.io:5000'],
    ['https://reg.io:5000/a', 'reg.io:5000'],
    ['HTTPS://reg.io/', 'reg.io'],
    ['ftp://reg.io', 'reg.io'],
    ['https://u:p@reg.io?x', 'reg.io'],
    ['https://reg.io#f', 'reg.io'],
    ['https://[::1]:5000/', '[::1]:5000'],
    ['https://[::1]/', '::1'],
    // What Go cannot read as a URL is cut at its first slash.
    ['https://reg.io:x/a', 'https:'],
    ['https:///reg.io', 'https:'],
    ['https://re g.io/', 'https:'],
    ['a.io/https://b.io', 'a.io'],
    ['//reg.io', ''],
    ['', ''],
  ];
  for (const [registry, host] of rows) assert.equal(hostOfKey(registry), host, registry);
});

const registry = fc.constantFrom(
  'a.io',
  'https://a.io',
  'a.io/x',
  'b.io',
  '*.io',
  'https://index.docker.io/v1/',
);
const host = fc.constantFrom('a.io', 'b.io', 'docker.io', 'c.io');
const entries = fc.dictionary(registry, fc.constantFrom({}, null, { auth: 'dTpw' }, { identitytoken: 'x' }));

test('with a general helper no entry is ever used, and without any helper the entries alone count', () => {
  fc.assert(
    fc.property(entries, fc.dictionary(host, fc.constantFrom('y', '')), host, (auths, credHelpers, asked) => {
      const answer = ask(JSON.stringify({ auths }), asked);
      assert.ok(answer && answer.kind !== 'helper');
      if (answer.kind === 'entry') assert.ok(Object.hasOwn(auths, answer.registry));
      assert.deepEqual(ask(JSON.stringify({ auths, credsStore: 'x' }), asked), helper('x', 'credsStore'));
      const helped = ask(JSON.stringify({ auths, credHelpers }), asked);
      const named = credHelpers[asked === 'docker.io' ? 'https://index.docker.io/v1/' : asked];
      assert.deepEqual(helped, named ? helper(named, 'credHelpers') : answer);
    }),
  );
});

test('what docker can read in an entry, the kubelet can read, too', () => {
  const field = fc.constantFrom('auth', 'Auth', 'username', 'password', 'email', 'identitytoken', 'x');
  const value = fc.oneof(
    fc.constantFrom('dTpw', 'dTpwcQ', 'OnA=', 'pants', '', null),
    fc.json({ maxDepth: 0 }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(field, value), { maxLength: 3 }), members => {
      const text = `{${members.map(([name, said]) => `"${name}": ${JSON.stringify(said)}`).join(', ')}}`;
      const config = `{"auths": {"a.io": ${text}}}`;
      if (isValid(config)) assert.ok(readAsKubelet(config).valid, text);
    }),
  );
});

test('no document is a crash', () => {
  const letters = fc.string({
    unit: fc.constantFrom(...'{}[]",:\\ nul0', '"auths"', '"credHelpers"', '"dTpw"', 'null', '\ufeff'),
    maxLength: 20,
  });
  fc.assert(
    fc.property(fc.oneof(letters, fc.string({ unit: 'binary' })), fc.string(), (text, asked) => {
      const reading = readAsDocker(text);
      if (reading.valid) reading.answer(asked);
      else assert.notEqual(reading.problem, '');
    }),
    { numRuns: 10_000 },
  );
  for (const text of ['['.repeat(500_000), `{"x": ${'{"x":'.repeat(500_000)}`, `{}${'['.repeat(500_000)}`])
    readAsDocker(text);
});
