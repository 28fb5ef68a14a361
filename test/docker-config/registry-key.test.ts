import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readKeyring } from '../../agent/docker-config/keyring.ts';
import { matchesKey, normaliseKey } from '../../agent/docker-config/registry-key.ts';

/** Whether the key of a file is used for an image, as the whole way from the file to the credential has it. */
function serves(registry: string, repository: string): boolean {
  const text = JSON.stringify({ auths: { [registry]: { username: 'u' } } });
  return readKeyring(text).lookup(repository).length === 1;
}

type Row = readonly [registry: string, repository: string];

function assertServes(rows: readonly Row[], expected: boolean): void {
  for (const [registry, repository] of rows)
    assert.equal(serves(registry, repository), expected, `${JSON.stringify(registry)} for ${repository}`);
}

// https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/credentialprovider/keyring_test.go (TestURLsMatch)
test('a star stands for letters of one label, and the path is a plain prefix', () => {
  assertServes(
    [
      ['*.kubernetes.io', 'prefix.kubernetes.io/a'],
      ['prefix.*.io', 'prefix.kubernetes.io/a'],
      ['prefix.kubernetes.*', 'prefix.kubernetes.io/a'],
      ['*-good.kubernetes.io', 'prefix-good.kubernetes.io/a'],
      ['prefix.*.io/foo', 'prefix.kubernetes.io/foo/bar'],
      ['*.kubernetes.io:1111/blah', 'prefix.kubernetes.io:1111/blah'],
      ['*kubernetes.io', 'kubernetes.io/a'],
      ['bar.example.com/pong', 'bar.example.com/pongz'],
      ['*.io', 'docker.io/library/nginx'],
      ['reg.example.com/team/', 'reg.example.com/team/app'],
    ],
    true,
  );
  assertServes(
    [
      ['prefix.*.io', 'kubernetes.io/a'],
      ['*.*.kubernetes.io', 'prefix.kubernetes.io/a'],
      ['*kubernetes.io', 'a.kubernetes.io/a'],
      ['prefix.kubernetes', 'prefix.kubernetes.io/a'],
      ['*', 'prefix.kubernetes.io/a'],
      ['k*.io', 'quay.io/a'],
      ['prefix.*.io/foo', 'prefix.kubernetes.io:1111/foo/bar'],
      ['prefix.kubernetes.io/*', 'prefix.kubernetes.io/foo'],
      ['*.kubernetes.io:*', 'prefix.kubernetes.io:1111/foo'],
      ['reg.example.com', 'reg.example.com:443/a'],
      ['reg.example.com:0443', 'reg.example.com:443/a'],
      ['Reg.example.com', 'reg.example.com/a'],
      ['reg.example.com/team/', 'reg.example.com/team'],
      ['reg.example.com/Team', 'reg.example.com/team'],
      // What looks like the version of the protocol is taken off the key, but not off the image.
      ['reg.example.com/v2/app', 'reg.example.com/v2/app'],
    ],
    false,
  );
});

test('scheme, user, query, fragment and the version of the protocol do not count', () => {
  const rows: readonly (readonly [registry: string, key: string])[] = [
    ['https://reg.io', 'reg.io'],
    ['http://reg.io/', 'reg.io'],
    ['https://reg.io/v1/', 'reg.io'],
    ['https://reg.io/v2/', 'reg.io'],
    ['reg.io/v2/team', 'reg.io/team'],
    ['reg.io/v1//team', 'reg.io//team'],
    ['reg.io/v1/v2/', 'reg.io/v2/'],
    ['https://reg.io/v1', 'reg.io/v1'],
    ['reg.io/v3/', 'reg.io/v3/'],
    ['reg.io/a/v1/', 'reg.io/a/v1/'],
    ['user@reg.io', 'reg.io'],
    ['user:pass@reg.io:5000', 'reg.io:5000'],
    ['a@b@reg.io', 'reg.io'],
    ['%FF@reg.io', 'reg.io'],
    ['reg.io?service=x', 'reg.io'],
    ['reg.io/?x', 'reg.io'],
    ['reg.io?%', 'reg.io'],
    ['reg.io#x', 'reg.io'],
    ['reg.io#%FF', 'reg.io'],
    ['reg.io#\n', 'reg.io'],
    ['reg.io/%74eam', 'reg.io/team'],
    ['reg.io/a b', 'reg.io/a b'],
    ['reg.io:', 'reg.io:'],
    ['Reg.io', 'Reg.io'],
    // Only these two schemes are known, and only in lower case: anything else is the name of a host.
    ['HTTPS://reg.io', 'HTTPS://reg.io'],
    ['https://https://reg.io', 'https://reg.io'],
    ['[::1]:5000/', '[::1]:5000'],
  ];
  for (const [registry, key] of rows) assert.equal(normaliseKey(registry), key, JSON.stringify(registry));
});

test('what Go cannot read as a URL is no key', () => {
  const bad = [
    'reg.io:port',
    'reg.io:80x/a',
    'reg.io/%',
    'reg.io/%4',
    'reg.io/%zz',
    'reg.io#%zz',
    '%zz@reg.io',
    'ü@reg.io',
    'a b@reg.io',
    're g.io',
    'reg.io\\a',
    'reg%41.io',
    'reg%2Fio',
    'reg.io\n',
    'reg.io/\x7f',
    'reg.io?\t',
    'reg^.io',
    '{reg}.io',
    '[::1',
    '[::1]x',
    '[::1]:x',
    '[a-z]eg.io',
  ];
  for (const registry of bad) assert.equal(normaliseKey(registry), undefined, JSON.stringify(registry));
});

test('a key is taken apart twice, so that what escapes stood for may mean something the second time', () => {
  assertServes(
    [
      ['reg.io/team%3Fx', 'reg.io/team/app'],
      ['reg.io/team%23x', 'reg.io/team/app'],
      ['reg.io/%2574eam', 'reg.io/team/app'],
      ['reg.io/%76%31/team', 'reg.io/team/app'],
      ['reg.io/v1%2Fteam', 'reg.io/team/app'],
    ],
    true,
  );
  assertServes(
    [
      ['reg.io/%252574eam', 'reg.io/team/app'],
      ['reg.io/%25', 'reg.io/a'],
      ['reg.io/%00', 'reg.io/a'],
      ['reg.io/%FF', 'reg.io/a'],
    ],
    false,
  );
});

test('a port and an address in brackets are told apart as by net.SplitHostPort', () => {
  assertServes(
    [
      ['[::1]:5000', '[::1]:5000/a'],
      ['https://[fe80::a:1]:80/v2/', '[fe80::a:1]:80/a'],
      ['[::ffff:1.2.3.4]:5000', '[::ffff:1.2.3.4]:5000/a'],
      ['localhost:5000/v1/a', 'localhost:5000/ab'],
      ['*:5000', 'localhost:5000/a'],
      ['*:5000', '[::1]:5000/a'],
      ['reg.io:', 'reg.io/a'],
      // No port is no number, and then the brackets stay and are a list of letters.
      ['*', '[::1]/a'],
    ],
    true,
  );
  assertServes(
    [
      ['[::1]', '[::1]/a'],
      ['[::1]', '[::1]:5000/a'],
      ['::1:5000', '[::1]:5000/a'],
      ['[::1]:5000', '[::2]:5000/a'],
      ['[[]::1]:5000', '[::1]:5000/a'],
      ['a:b:5000', 'b:5000/a'],
      ['r[e]g:5000', 'reg:5000/a'],
    ],
    false,
  );
});

// Go 1.25.8 and 1.26.1 refuse brackets around anything but an IPv6 address, so that with the newest kubelets none of
// the lists works; with the others they do.
test('a list of letters is read as by filepath.Match, and a malformed one matches nothing', () => {
  const yes = [
    'r[e]g',
    'r[a-z]g',
    'r[xe]g',
    'r[a-ce]g',
    'r[!-~]g',
    'r[[-z]g',
    're[f-g]',
    'r[*e]g',
    'r[a-é]g',
    'r[a-%C3%A9]g',
    '*[g]',
  ];
  const no = [
    'r[a]g',
    'r[^e]g',
    'r[z-a]g',
    'r[]g',
    // In a URL a question mark begins the query, and a caret is refused.
    'r[^a]g',
    'r?g',
    '?eg',
    'r[?e]g',
    'r[e',
    'r[e-]g',
    'r[-e]g',
    'r[a-e-z]g',
    'r[]e]g',
    'r[e]',
    'r[ee]eg',
    '*[e',
    'reg[',
  ];
  assertServes(
    yes.map(label => [`${label}.io`, 'reg.io/a']),
    true,
  );
  assertServes(
    no.map(label => [`${label}.io`, 'reg.io/a']),
    false,
  );
  // The labels are cut at their dots first.
  assertServes([['reg[.]io', 'reg.io/a']], false);
});

/** Labels, patterns and punctuation from which nearly good keys are put together. */
const piece = fc.constantFrom(
  ...[
    'reg',
    'io',
    'localhost',
    '5000',
    '443',
    'team',
    'v1',
    'v2',
    'library',
    'docker.io',
    '::1',
    '%25',
    '%2F',
    '%C3%A9',
  ],
  ...[
    '*',
    '?',
    '[a-z]',
    '[^a]',
    '[',
    ']',
    '.',
    '.',
    ':',
    '/',
    '/',
    '@',
    '#',
    '%',
    '\\',
    ' ',
    '\n',
    'é',
    '😀',
    'https://',
  ],
);
const wildKey = fc.oneof(
  fc.array(piece, { maxLength: 12 }).map(pieces => pieces.join('')),
  fc.string({ unit: 'binary' }),
);
const host = fc.constantFrom(
  'reg.io',
  'docker.io',
  'localhost:5000',
  '[::1]:5000',
  'a-b.c_d.io:443',
  'localhost',
);
const repository = fc
  .tuple(
    host,
    fc.array(fc.constantFrom('a', 'team', 'v1', 'v2', 'library', 'x__y', 'b.c'), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([name, path]) => `${name}/${path.join('/')}`);

test('any two keys with one normal form match the same images', () => {
  fc.assert(
    fc.property(wildKey, repository, (registry, image) => {
      const key = normaliseKey(registry);
      const expected = key !== undefined && matchesKey(key, image);
      for (const same of [registry, `${registry}#x`, `https://${registry}`, `http://${registry}`]) {
        // A scheme before a scheme, and a fragment's percent sign, make another key.
        if (normaliseKey(same) === key) assert.equal(serves(same, image), expected, JSON.stringify(same));
      }
    }),
    { numRuns: 5_000 },
  );
});

test('a part of an image from its beginning matches it, with any scheme, user and version before it', () => {
  const cut = fc.tuple(repository, fc.nat(60)).map(([image, length]) => {
    const slash = image.indexOf('/');
    return [image, image.slice(0, Math.max(slash, length)), slash] as const;
  });
  const scheme = fc.constantFrom('', 'https://', 'http://');
  const user = fc.constantFrom('', 'u@', 'u:p@', 'u@v@');
  const version = fc.constantFrom('/v1', '/v2');
  fc.assert(
    fc.property(
      cut,
      scheme,
      user,
      version,
      fc.constantFrom('', '?q', '#f'),
      ([image, key, slash], ...rest) => {
        const [before, who, protocol, after] = rest;
        const [name, path] = [key.slice(0, slash), key.slice(slash) || '/'];
        assert.ok(serves(before + who + name + protocol + path + after, image));
        assert.ok(!serves(`${before}${who}x${name}${protocol}${path}${after}`, image));
      },
    ),
    { numRuns: 5_000 },
  );
});

test('with any of its labels replaced by a star, or a letter by a list, a key still matches', () => {
  fc.assert(
    fc.property(repository, fc.nat(20), fc.constantFrom('*', '[!-~]'), (image, at, glob) => {
      const name = image.split(/[:/]/)[0] ?? '';
      // What begins with a bracket is an address, and with a list before the port is no port.
      fc.pre(!name.startsWith('[') && (glob === '*' || !image.includes(':')));
      const labels = name.split('.');
      const index = at % labels.length;
      const label = labels[index] ?? '';
      labels[index] = glob === '*' ? '*' : `${label.slice(0, -1)}${glob}`;
      // The path may begin like the version of the protocol, and would lose that.
      const key = labels.join('.') + image.slice(name.length).replace('/', '/v2/');
      fc.pre(!key.startsWith('['));
      assert.ok(serves(key, image));
      assert.ok(!serves(`x.${key}`, image));
    }),
    { numRuns: 2_000 },
  );
});

test('no key is a crash', () => {
  fc.assert(
    fc.property(wildKey, fc.oneof(repository, wildKey), (registry, image) => {
      const key = normaliseKey(registry);
      assert.equal(typeof matchesKey(registry, image), 'boolean');
      if (key === undefined) assert.ok(!serves(registry, image));
    }),
    { numRuns: 10_000 },
  );
});

// Cost that grows with the square of these lengths would take minutes, and a stack of them would end.
test('no long key is slow', { timeout: 60_000 }, () => {
  const label = 'a'.repeat(200);
  for (const part of [
    'a',
    '*a',
    '?',
    '[',
    ']',
    '[a-z]',
    '[a',
    '-',
    ':1',
    '.',
    '/a',
    '%25',
    '%',
    'u@',
    '#',
    '[^',
    'é',
  ]) {
    const long = part.repeat(500_000 / part.length);
    for (const key of [long, `a${long}`, `[${long}]:1`, `a[${long}]`, `${long}b.io`, `a/${long}`]) {
      normaliseKey(key);
      for (const image of [`${label}/a`, `${label}.io/a`, `${label}:1/a`]) assert.ok(!matchesKey(key, image));
    }
  }
});
