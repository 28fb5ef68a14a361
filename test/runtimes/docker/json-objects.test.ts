import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JsonObjects } from '../../../agent/runtimes/docker/json-objects.ts';

const objects = fc.array(
  fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { noNullPrototype: true }),
);
const separator = fc.constantFrom('', '\n', '\r\n', ' \t\n\n');

test('objects come as they were sent, however the stream is cut', { timeout: 30_000 }, () => {
  fc.assert(
    fc.property(objects, separator, fc.array(fc.nat(), { maxLength: 30 }), (sent, between, cuts) => {
      const stream = Buffer.from(sent.map(object => JSON.stringify(object) + between).join(''));
      const reader = new JsonObjects(1_000_000);
      const ends = [...cuts.map(cut => cut % (stream.length + 1)), stream.length].toSorted((a, b) => a - b);
      const got = ends.flatMap((end, index) => reader.take(stream.subarray(ends[index - 1] ?? 0, end)));
      assert.deepEqual(got, JSON.parse(JSON.stringify(sent)));
      assert.ok(reader.isWhole);
    }),
    { numRuns: 500 },
  );
});

test('a list comes object by object, however it is cut', { timeout: 30_000 }, () => {
  const space = fc.constantFrom('', '\n', ' \t\r\n');
  fc.assert(
    fc.property(objects, space, fc.integer({ min: 1, max: 50 }), (sent, space, size) => {
      const text = ['[', sent.map(object => JSON.stringify(object)).join(`${space},${space}`), ']', ''].join(
        space,
      );
      const list = Buffer.from(text);
      const reader = new JsonObjects(1_000_000, 'list');
      const got: unknown[] = [];
      for (let start = 0; start < list.length; start += size) {
        assert.ok(!reader.isWhole || list.subarray(start).toString().trim() === '');
        got.push(...reader.take(list.subarray(start, start + size)));
      }
      assert.deepEqual(got, JSON.parse(text));
      assert.ok(reader.isWhole);
    }),
    { numRuns: 300 },
  );
});

test('what is no list of objects, or goes on after its end, is refused', () => {
  for (const text of [
    '{}',
    '1',
    ']',
    '[1',
    '["',
    '[[',
    '[null',
    '[,',
    '[{},]',
    '[{}{',
    '[{},,',
    '[]]',
    '[][',
    '[],',
    '[{}]{',
  ])
    assert.throws(() => new JsonObjects(100, 'list').take(Buffer.from(text)), Error, text);
  for (const text of ['', ' ', '[', '[{}', '[{},', '[{"a":']) {
    const reader = new JsonObjects(100, 'list');
    reader.take(Buffer.from(text));
    assert.ok(!reader.isWhole, text);
  }
});

test('each object comes with the byte that ends it', () => {
  const reader = new JsonObjects(100);
  const got = [...Buffer.from('{"a":{"b":"}\\""}}{}')].map(byte => reader.take(Buffer.from([byte])).length);
  assert.deepEqual(got, [...Array(16).fill(0), 1, 0, 1]);
});

test('a stream that ends within an object is not whole', () => {
  for (const text of ['{', '{"a":"}', '{}{"a":{}', '{"a":"\\"}']) {
    const reader = new JsonObjects(100);
    reader.take(Buffer.from(text));
    assert.ok(!reader.isWhole, text);
  }
});

test('what is no object, or none of JSON, is refused', () => {
  for (const text of ['<html>', 'null', '[1]', '{}x', '{a}', '{"a":}', '\0'])
    assert.throws(() => new JsonObjects(100).take(Buffer.from(text)), Error, text);
});

test('an object that is too long is refused as soon as it is, in one piece or in many', () => {
  const long = Buffer.from(`{"a":"${'x'.repeat(2_000)}"}`);
  assert.throws(() => new JsonObjects(1_000).take(long), /a JSON object has more than 1000 bytes/);
  const reader = new JsonObjects(1_000);
  let taken = 0;
  assert.throws(() => {
    for (const byte of long) {
      reader.take(Buffer.from([byte]));
      taken++;
    }
  }, /more than 1000 bytes/);
  assert.equal(taken, 1_000);
  // The limit is of one object, and not of the stream.
  const many = new JsonObjects(1_000);
  for (let time = 0; time < 100; time++)
    assert.equal(many.take(Buffer.from(`{"a":"${'x'.repeat(900)}"}`)).length, 1);
});
