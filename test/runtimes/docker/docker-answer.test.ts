import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRefusal } from '../../../agent/runtimes/docker/docker-answer.ts';

/** What is read of a refusal that comes in pieces of this size, and how many of its bytes were asked for. */
async function read(text: string, size = 10_000, breaks = false) {
  const bytes = Buffer.from(text);
  let sent = 0;
  async function* body() {
    while (sent < bytes.length) {
      sent += size;
      yield bytes.subarray(sent - size, sent);
    }
    if (breaks) throw new Error('other side closed');
  }
  return { message: await readRefusal(body()), sent };
}

test('a refusal is read for its message', async () => {
  const cases = [
    ['{"message":"no such image"}\n', 'no such image'],
    ['{"cause":"a","message":"b: a","response":500}', 'b: a'],
    ['{"errorDetail":{"message":"a"},"error":"a"}', 'a'],
    ['{"message":5}', undefined],
    ['["message"]', undefined],
    ['null', undefined],
    ['<html>', undefined],
    ['', undefined],
  ] as const;
  for (const [text, message] of cases) assert.equal((await read(text)).message, message, text);
});

test('of one that is too long the beginning of its message is read, and no more of it', async () => {
  const { message, sent } = await read(
    JSON.stringify({ message: `toomanyrequests: ${'x'.repeat(200_000)}` }),
  );
  assert.match(message ?? '', /^toomanyrequests: x{60000}/);
  assert.equal(sent, 70_000);
});

test('one that was cut off says what has come, wherever that ends', async () => {
  const whole = JSON.stringify({ response: 500, message: 'a "b" \\ \u0001 é' });
  const begin = whole.indexOf('a \\"');
  for (let end = begin; end < whole.length; end++) {
    const { message } = await read(Buffer.from(whole).subarray(0, end).toString(), 7, true);
    assert.ok(
      message !== undefined && 'a "b" \\ \u0001 é"}'.startsWith(message.replace(/\ufffd$/, '')),
      message,
    );
  }
  assert.equal((await read('{"cause":"a long one', 5, true)).message, 'a long one');
});
