import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readTextFile } from '../../agent/base/read-text-file.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';

const limits = { timeout: 5_000 };

test('a named pipe, a directory and a huge file are refused without waiting or reading', limits, async t => {
  const directory = await temporaryDirectory(t);
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  await assert.rejects(readTextFile(join(directory, 'pipe')), /it is no regular file/);
  await assert.rejects(readTextFile(directory), { code: 'EISDIR' });
  await writeFile(join(directory, 'huge'), '');
  await truncate(join(directory, 'huge'), 10 * 2 ** 30);
  await assert.rejects(readTextFile(join(directory, 'huge')), /it has 10737418240 bytes/);
  await truncate(join(directory, 'huge'), 8 * 2 ** 20);
  assert.equal((await readTextFile(join(directory, 'huge'))).length, 8 * 2 ** 20);
  await writeFile(join(directory, 'text'), 'grüß');
  assert.equal(await readTextFile(join(directory, 'text')), 'grüß');
});
