import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '../../agent/base/duration.ts';

test('durations are read as Kubernetes writes them', () => {
  const durations = {
    '90s': 90_000,
    '10m': 600_000,
    '1h30m': 5_400_000,
    '1.5h': 5_400_000,
    '500ms': 500,
    '0': 0,
    '0s': 0,
  };
  for (const [text, milliseconds] of Object.entries(durations))
    assert.equal(parseDuration(text), milliseconds, text);
});

test('what is no duration is none', () => {
  for (const text of ['', '10', 's', '-1s', '1d', '1 s', '1s ', 'm5', '1,5s', '١s']) {
    assert.equal(parseDuration(text), undefined, text);
  }
  fc.assert(fc.property(fc.string(), text => parseDuration(text) === undefined || /^[\d.hms]+$/.test(text)));
});

test('durations are written in at most two units', () => {
  const texts: readonly (readonly [number, string])[] = [
    [0, '0ms'],
    [350, '350ms'],
    [4_230, '4.2s'],
    [59_000, '59s'],
    [125_000, '2m5s'],
    [3_780_000, '1h3m'],
  ];
  for (const [milliseconds, text] of texts) assert.equal(formatDuration(milliseconds), text);
});

test('a duration is the sum of its parts', () => {
  const amount = fc.nat(100_000);
  fc.assert(
    fc.property(amount, amount, amount, amount, (h, m, s, ms) => {
      const expected = h * 3_600_000 + m * 60_000 + s * 1_000 + ms;
      return parseDuration(`${h}h${m}m${s}s${ms}ms`) === expected;
    }),
  );
});
