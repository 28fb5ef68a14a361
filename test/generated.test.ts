import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from './sandbox/temporary.ts';

const project = fileURLToPath(new URL('..', import.meta.url));

test('the generated code is what the messages make', { timeout: 60_000 }, async t => {
  const directory = await temporaryDirectory(t);
  await cp(join(project, 'agent/runtimes/proto'), join(directory, 'agent/runtimes/proto'), {
    recursive: true,
  });
  const programs = join(project, 'node_modules/.bin');
  const proto = 'agent/runtimes/proto';
  execFileSync(join(programs, 'buf'), ['generate', proto, '--template', join(proto, 'buf.gen.yaml')], {
    cwd: directory,
    env: { ...process.env, PATH: `${programs}:${process.env.PATH}` },
  });
  const names = await readdir(join(directory, 'agent/runtimes/gen'));
  assert.deepEqual(names.toSorted(), (await readdir(join(project, 'agent/runtimes/gen'))).toSorted());
  for (const name of names) {
    const [made, kept] = [directory, project].map(top =>
      readFile(join(top, 'agent/runtimes/gen', name), 'utf8'),
    );
    assert.equal(await made, await kept, name);
  }
});
