import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ensureRequirements, testRequirements } from './requirements.ts';
import { temporaryDirectory } from './temporary.ts';

const options = { timeout: 10_000 };

test('one error names every missing program, its package, and what else is needed', options, async t => {
  const path = await temporaryDirectory(t);
  await assert.rejects(
    ensureRequirements(testRequirements, { path, isRoot: false }),
    ({ message }: Error) => {
      for (const { program, debianPackage, purpose } of testRequirements)
        assert.ok(message.includes(`${program}: ${purpose} (Debian package ${debianPackage})`), message);
      assert.match(
        message,
        /apt-get install --no-install-recommends containerd runc docker-registry openssl/,
      );
      assert.match(message, /Root is needed too/);
      return true;
    },
  );
});

test(
  'programs on the PATH are used and not asked for; what cannot be executed is no program',
  options,
  async t => {
    const path = await temporaryDirectory(t);
    for (const { program } of testRequirements)
      if (program === 'runc') await mkdir(join(path, program));
      else
        await writeFile(join(path, program), '#!/bin/sh\n', { mode: program === 'kubectl' ? 0o644 : 0o755 });
    await assert.rejects(
      ensureRequirements(testRequirements, { path, isRoot: true }),
      ({ message }: Error) => {
        assert.match(message, /^ {2}kubectl:/m);
        assert.match(message, /^ {2}runc:/m);
        assert.doesNotMatch(message, /^ {2}containerd:/m);
        assert.doesNotMatch(message, /Root/);
        return true;
      },
    );
  },
);
