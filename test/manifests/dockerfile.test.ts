import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { before, describe, it } from 'node:test';
import { first, type Instruction, readDockerfile } from './dockerfile.ts';

describe('the Dockerfile, where a built image cannot tell', () => {
  let head: readonly Instruction[];
  let buildStage: readonly Instruction[];
  let finalStage: readonly Instruction[];

  before(async () => {
    ({ head, buildStage, finalStage } = await readDockerfile());
  });

  it('takes both base images, of Node.js 24, from arguments that are declared before the first stage', () => {
    const defaults = head.map(({ name, value }) => {
      assert.equal(name, 'ARG');
      return value;
    });
    assert.equal(defaults.length, 2);
    for (const value of defaults) assert.match(value, /^[A-Z_]+=.*node(js)?:?24-/);
    const names = defaults.map(value => value.split('=')[0]);
    assert.match(first('FROM', buildStage), new RegExp(`\\$\\{${names[0]}\\} AS build$`));
    assert.equal(first('FROM', finalStage), `\${${names[1]}}`);
  });

  it('bundles once on the platform of the builder, and ships for every platform', () => {
    assert.match(first('FROM', buildStage), /^--platform=\$BUILDPLATFORM /);
    assert.ok(
      finalStage.every(({ name }) => name !== 'RUN'),
      'nothing has to be executed on the other platform',
    );
  });

  it('is given nothing but what it copies, so that no secret of a working tree gets into a layer', async () => {
    assert.deepEqual(await allowedByDockerignore(), contextSources(buildStage).toSorted());
  });

  it('installs without running scripts of packages', () => {
    const commands = buildStage.filter(({ name }) => name === 'RUN').map(({ value }) => value);
    assert.deepEqual(commands, ['npm ci --ignore-scripts', 'npm run build']);
  });
});

/** The files and directories that a stage copies from the build context. */
function contextSources(stage: readonly Instruction[]): readonly string[] {
  const copies = stage.filter(({ name, value }) => name === 'COPY' && !value.startsWith('--from='));
  return copies.flatMap(({ value }) => value.split(' ').slice(0, -1));
}

/** The names at the top of the project that get into the build context: the file excludes all and lets in some. */
async function allowedByDockerignore(): Promise<readonly string[]> {
  const text = await readFile(new URL('../../.dockerignore', import.meta.url), 'utf8');
  const [everything, ...exceptions] = text.split('\n').filter(line => line !== '' && !line.startsWith('#'));
  assert.equal(everything, '*');
  return exceptions
    .map(line => {
      assert.match(line, /^![^*]+$/);
      return line.slice(1);
    })
    .toSorted();
}
