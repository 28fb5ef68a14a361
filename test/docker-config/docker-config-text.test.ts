import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatDockerConfigText,
  parseDockerConfigText,
} from '../../agent/docker-config/docker-config-text.ts';

test('values are kept as the bytes that stand in the file', () => {
  const text =
    '{ "psFormat":"\\u0041\\/b",\n "big": 12345678901234567890123, "auths": {"r": { "auth" : "eDp5" , "n":1.0 } } }';
  const config = parseDockerConfigText(text);
  assert.ok(config);
  assert.deepEqual(
    [...config.others],
    [
      ['psFormat', '"\\u0041\\/b"'],
      ['big', '12345678901234567890123'],
    ],
  );
  assert.deepEqual([...config.entries], [['r', '{ "auth" : "eDp5" , "n":1.0 }']]);
  const formatted = formatDockerConfigText(config);
  for (const value of ['"\\u0041\\/b"', '12345678901234567890123', '{ "auth" : "eDp5" , "n":1.0 }']) {
    assert.ok(formatted.includes(value), formatted);
  }
});

test('a file that is written is read back as it was, also with the keys of prototypes and of numbers', () => {
  const json = fc.json({ maxDepth: 3 });
  const key = fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', '10', '9', 'auth'));
  const members = fc
    .uniqueArray(fc.tuple(key, json), { selector: ([name]) => name })
    .map(entries => new Map(entries));
  fc.assert(
    fc.property(members, members, (others, entries) => {
      for (const name of [...others.keys()]) if (name.toLowerCase() === 'auths') others.delete(name);
      const config = { others, entries };
      assert.deepEqual(parseDockerConfigText(formatDockerConfigText(config)), config);
    }),
  );
});

test('what is no docker config is none', () => {
  for (const text of [
    '',
    '{',
    '[]',
    'null',
    '3',
    '{"auths": []}',
    '{"auths": "x"}',
    '{} x',
    '{/* */}',
    '{"a":1,}',
  ]) {
    assert.equal(parseDockerConfigText(text), undefined, text);
  }
  for (const text of ['{}', '{"auths": null}', '{"AUTHS": {}}']) assert.ok(parseDockerConfigText(text), text);
});

test('nesting without end is refused and no crash', () => {
  assert.equal(parseDockerConfigText('['.repeat(200_000)), undefined);
  parseDockerConfigText(`{"x": ${'['.repeat(5_000)}${']'.repeat(5_000)}}`);
  parseDockerConfigText(`{"x": ${'['.repeat(500_000)}${']'.repeat(500_000)}}`);
});

test('the entries of several keys of the name add up, in whatever case; one that is no object is none', () => {
  const config = parseDockerConfigText(
    '{"auths": {"a": 1, "b": 2}, "x": 0, "AUTHS": {"b": 3}, "Auths": null}',
  );
  assert.deepEqual(
    [...(config?.entries ?? [])],
    [
      ['a', '1'],
      ['b', '3'],
    ],
  );
  assert.deepEqual([...(config?.others ?? [])], [['x', '0']]);
  assert.equal(parseDockerConfigText('{"AUTHS": [["a", 1]], "auths": {}}'), undefined);
});
