import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatByteSize, parseByteSize } from '../../agent/base/byte-size.ts';

test('quantities of bytes are read as Kubernetes writes them', () => {
  const sizes = { '500Mi': 524_288_000, '20G': 20e9, '1048576': 1_048_576, '1.5Ki': 1_536, '0': 0 };
  for (const [text, bytes] of Object.entries(sizes)) assert.equal(parseByteSize(text), bytes, text);
  for (const text of ['', 'Gi', '5Xi', '-5', '5 Gi', '5GiB', '5%', '5constructor', '5__']) {
    assert.equal(parseByteSize(text), undefined, text);
  }
});

test('bytes are written with the unit that keeps them short', () => {
  const texts: readonly (readonly [number, string])[] = [
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [98_600_000, '98.6 MB'],
    [5e15, '5000.0 TB'],
  ];
  for (const [bytes, text] of texts) assert.equal(formatByteSize(bytes), text);
});

test('whatever is read as a size is a whole number of bytes, never endless', () => {
  assert.equal(parseByteSize(`${'9'.repeat(400)}Gi`), undefined);
  const digits = fc.stringMatching(/^\d{1,400}(\.\d{1,20})?$/);
  const unit = fc.constantFrom('', 'k', 'M', 'G', 'T', 'Ki', 'Mi', 'Gi', 'Ti', 'x', 'KI', 'B');
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.tuple(digits, unit).map(parts => parts.join('')),
      ),
      text => {
        const bytes = parseByteSize(text);
        return bytes === undefined || (Number.isInteger(bytes) && bytes >= 0);
      },
    ),
  );
});
