import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, cp, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { settingTable } from '../../agent/settings.ts';
import { entrypointOf, first, type Instruction, readDockerfile } from './dockerfile.ts';
import { agentPod, manifests, render } from './rendered.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

describe('the Dockerfile, as far as it can be held without building the image', { timeout: 120_000 }, () => {
  let head: readonly Instruction[];
  let buildStage: readonly Instruction[];
  let finalStage: readonly Instruction[];
  let version: string;

  before(async () => {
    ({ head, buildStage, finalStage } = await readDockerfile());
    ({ version } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8')));
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

  it('copies only what is there and what .dockerignore lets through', async () => {
    const allowed = await allowedByDockerignore();
    for (const source of contextSources(buildStage)) {
      await access(join(project, source));
      assert.ok(allowed.has(source), `${source} is excluded by .dockerignore`);
    }
    assert.deepEqual(contextSources(finalStage), [], 'the final stage takes nothing from the working tree');
  });

  it('copies all that its build command needs, and ships the file which that makes', async test => {
    const directory = await temporaryDirectory(test);
    for (const source of contextSources(buildStage)) {
      await cp(join(project, source), join(directory, source), { recursive: true });
    }
    // Stands in for npm ci, which is the only other command.
    await symlink(join(project, 'node_modules'), join(directory, 'node_modules'));
    const commands = buildStage.filter(({ name }) => name === 'RUN').map(({ value }) => value);
    assert.deepEqual(commands, ['npm ci --ignore-scripts', 'npm run build']);

    await promisify(execFile)('npm', ['run', 'build'], { cwd: directory, timeout: 60_000 });

    const [from, to] = first('COPY', finalStage).replace('--from=build ', '').split(' ');
    const made = String(from).replace(first('WORKDIR', buildStage), directory);
    await access(made);
    assert.equal(to, './');
    const program = join(first('WORKDIR', finalStage), basename(made));
    const [node, ...args] = entrypointOf(finalStage);
    assert.equal(node, 'node');
    assert.equal(args.at(-1), program);
    assert.ok(args.slice(0, -1).every(flag => flag.startsWith('--')));
  });

  it('starts the agent without a shell, as root, with what the DaemonSet says too', async () => {
    const { container } = agentPod(await render(manifests));
    assert.deepEqual(JSON.parse(first('CMD', finalStage)), container.args);
    assert.equal(first('USER', finalStage), '0:0');
    assert.equal(first('EXPOSE', finalStage), settingTable.listen.fallback.split(':').at(-1));
    assert.equal(dirname(settingTable.helpers.fallback), first('WORKDIR', finalStage));
  });

  it('names the version of package.json, and so do the manifests', async () => {
    assert.equal(first('ARG', finalStage), `VERSION=${version}`);
    const { container } = agentPod(await render(manifests));
    assert.equal(container.image, `pullready:${version}`);
  });
});

/** The files and directories that a stage copies from the build context. */
function contextSources(stage: readonly Instruction[]): readonly string[] {
  const copies = stage.filter(({ name, value }) => name === 'COPY' && !value.startsWith('--from='));
  return copies.flatMap(({ value }) => value.split(' ').slice(0, -1));
}

/** The names at the top of the project that get into the build context: the file excludes all and lets in some. */
async function allowedByDockerignore(): Promise<ReadonlySet<string>> {
  const text = await readFile(join(project, '.dockerignore'), 'utf8');
  const [everything, ...exceptions] = text.split('\n').filter(line => line !== '' && !line.startsWith('#'));
  assert.equal(everything, '*');
  return new Set(
    exceptions.map(line => {
      assert.match(line, /^![^*]+$/);
      return line.slice(1);
    }),
  );
}

async function temporaryDirectory(test: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pullready-context-'));
  test.after(() => rm(directory, { recursive: true }));
  return directory;
}
