import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Failure } from '../../agent/base/failure.ts';
import { fileFailure } from '../../agent/base/file-failure.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';

test('an error of the file system says what was tried, what is wrong and what to do, and keeps its cause', async t => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'config.json'));
  const error = await writeFile(join(directory, 'config.json'), '').catch(cause => cause);
  const failure = fileFailure('writing config.json', error);
  assert.equal(
    failure.message,
    'writing config.json: it is a directory; move the directory away, so that a file can be there',
  );
  assert.equal(failure.cause, error);
});

test('a failure that says it all already is not wrapped, and an unknown error keeps its words', async () => {
  const failure = new Failure({ tried: 'x', problem: 'y' });
  assert.equal(fileFailure('z', failure), failure);
  assert.equal(fileFailure('z', new Error('odd')).message, 'z: odd');
  const missing = await readFile('/no/such/file').catch(error => error);
  assert.match(fileFailure('reading it', missing).message, /^reading it: it does not exist; check/);
});
