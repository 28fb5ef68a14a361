import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { defaultConfig, parseConfig } from '../agent/config.ts';

const everything = `
credentials:
  targets: [/var/lib/kubelet/config.json, /root/.docker/config.json]
  helperRefresh: 15m
images:
  - registry.example.com/team/api:v2.3.1
  - image: registry.example.com/team/model@sha256:${'0'.repeat(64)}
    pullPolicy: Always
    priority: 10
    required: false
    pin: true
pulls:
  concurrency: 3
  perRegistry: 1
  timeout: 2h
  stallTimeout: 90s
  retry: { initial: 2s, max: 1m }
  resync: 5m
  startJitter: 30s
  maxIoPressure: 40.5%
disk:
  keepFree: 50Gi
`;

function problemsOf(text: string): readonly string[] {
  const parsed = parseConfig(text);
  return parsed.ok ? [] : parsed.problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

test('every key is read', () => {
  const parsed = parseConfig(everything);
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.config, {
    credentials: {
      targets: ['/var/lib/kubelet/config.json', '/root/.docker/config.json'],
      helperRefresh: 900_000,
    },
    images: [
      { image: 'registry.example.com/team/api:v2.3.1', position: { line: 6, column: 5 } },
      {
        image: `registry.example.com/team/model@sha256:${'0'.repeat(64)}`,
        pullPolicy: 'Always',
        priority: 10,
        required: false,
        pin: true,
        position: { line: 7, column: 12 },
      },
    ],
    pulls: {
      concurrency: 3,
      perRegistry: 1,
      timeout: 7_200_000,
      stallTimeout: 90_000,
      retry: { initial: 2_000, max: 60_000 },
      resync: 300_000,
      startJitter: 30_000,
      maxIoPressure: 0.405,
    },
    disk: { keepFree: { bytes: 50 * 2 ** 30 } },
  });
});

test('what is absent, empty or commented out has its default', () => {
  for (const text of ['', '# nothing\n', '{}', 'images:\npulls:\n  retry:\ndisk:\ncredentials:\n']) {
    assert.deepEqual(parseConfig(text), { ok: true, config: defaultConfig }, JSON.stringify(text));
  }
  assert.deepEqual(defaultConfig.pulls, {
    concurrency: 2,
    perRegistry: 2,
    timeout: 3_600_000,
    stallTimeout: 300_000,
    retry: { initial: 1_000, max: 300_000 },
    resync: 600_000,
    startJitter: 0,
    maxIoPressure: 1,
  });
  assert.deepEqual(defaultConfig.disk, { keepFree: { share: 0.2 } });
});

test('all problems are reported together, each where it stands and with what was expected', () => {
  const text = [
    'images:',
    '  - foo',
    '  - image: x',
    '    bogus: 1',
    '    pin: maybe',
    '  - 3',
    'pulls:',
    '  concurrency: 0',
    '  timeout: 5x',
    '  stallTimeout: 501h',
    '  resync: 1ms',
    '  retry: { initial: 1m, max: 1s }',
    'credentials:',
    '  targets: [relative, /a/../b.json, /root/.dockercfg, /var/lib/kubelet/config.yaml]',
    'disk: { keepFree: 120% }',
    'foo: bar',
  ].join('\n');
  assert.deepEqual(problemsOf(text), [
    '4:5 unknown key images.1.bogus',
    '5:10 images.1.pin: expected true or false',
    '6:5 images.2: expected an image reference or an object with "image"',
    '8:16 pulls.concurrency: expected a whole number from 1 to 1000',
    '9:12 pulls.timeout: expected a duration such as 90s or 10m',
    '10:17 pulls.stallTimeout: expected a duration of at most 500h',
    '11:11 pulls.resync: expected a duration of at least 1.0s',
    '12:10 pulls.retry: expected "initial" to be no longer than "max"',
    '14:13 credentials.targets.0: expected an absolute path on the node',
    '14:13 credentials.targets.0: expected a docker config file such as /root/.docker/config.json',
    '14:23 credentials.targets.1: expected a path without "." and ".."',
    '14:55 credentials.targets.3: expected a docker config file such as /root/.docker/config.json',
    '15:19 disk.keepFree: expected a share such as 20% or a size such as 50Gi',
    '16:1 unknown key foo',
  ]);
});

test('what is no YAML says where', () => {
  assert.match(problemsOf('a: [')[0] ?? '', /^1:5 /);
  assert.match(problemsOf('images: []\nimages: []')[0] ?? '', /^2:1 .*unique/);
  assert.deepEqual(problemsOf('- x'), ['1:1 expected a mapping']);
  assert.match(problemsOf('[[}images\nimages').join('\n'), /^2:/m, 'also where the parser counts no lines');
});

test('a key of the name of a prototype is an unknown one, and nesting without end is no crash', () => {
  assert.deepEqual(problemsOf('__proto__: {images: [x]}\npulls: {constructor: 1}'), [
    '1:1 unknown key __proto__',
    '2:9 unknown key pulls.constructor',
  ]);
  for (const text of ['['.repeat(100_000), '- '.repeat(20_000), '{a: '.repeat(20_000)]) {
    assert.ok(problemsOf(text).length > 0, text.slice(0, 10));
  }
});

test('aliases without end are refused', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 10; level++) {
    const alias = `*a${level - 1}`;
    lines.push(`a${level}: &a${level} [${Array(9).fill(alias).join(', ')}]`);
  }
  assert.match(problemsOf(lines.join('\n')).join(), /alias/i);
});

test('no text is a crash, and every problem lies in the text', () => {
  const fragment = fc.constantFrom(
    'images',
    ': ',
    '\n',
    '  ',
    '- ',
    '[',
    ']',
    '{',
    '}',
    '"',
    '&a',
    '*a',
    '!!x',
    '|',
    '3',
    '%',
    'pulls',
    '\t',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(fragment).map(parts => parts.join('')),
      ),
      text => {
        const parsed = parseConfig(text);
        if (parsed.ok) return;
        const lines = text.split('\n');
        for (const { line, column } of parsed.problems) {
          const length = lines[line - 1]?.length ?? -1;
          assert.ok(column >= 1 && column <= length + 1, `${line}:${column}`);
        }
      },
    ),
    { numRuns: 5_000 },
  );
});
