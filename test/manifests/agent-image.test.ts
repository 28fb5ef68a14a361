import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { settingTable } from '../../agent/settings.ts';
import { publishImage } from '../sandbox/images.ts';
import type { SandboxNode } from '../sandbox/sandbox-node.ts';
import { temporaryDirectory, temporaryNode } from '../sandbox/temporary.ts';
import { type AgentImage, buildAgentImage, type Printed } from './agent-image-build.ts';
import { readFromLayer, type SavedImage, saveImage, sizeTable } from './agent-image-layers.ts';
import { runPod } from './agent-image-run.ts';
import { agentPod, manifests, render, theOnly } from './rendered.ts';
import { assertWritten, secretFor, users } from './written.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const programPath = 'opt/pullready/pullready.mjs';

/** Bytes that the agent adds to its base, as they lie on the node and as they are pulled. */
const [largest, largestCompressed] = [4_200_000, 850_000];

it('docker builds the image from the Dockerfile, with what this machine has', {
  timeout: 240_000,
}, async test => {
  const bundle = await buildBundle(test);
  const image = await buildAgentImage(test, project);
  const directory = await temporaryDirectory(test);
  const saved = await saveImage(image.docker, image.name, join(directory, 'image'));
  const base = await saveImage(image.docker, image.baseName, join(directory, 'base'));
  const ours = saved.layers.slice(base.layers.length);

  await test.test('it adds the bundle of this working tree to its base, and no other file', async () => {
    assert.deepEqual(
      saved.config.rootfs.diff_ids.slice(0, base.layers.length),
      base.config.rootfs.diff_ids,
      'the base is as it was',
    );
    const files = ours.flatMap(({ paths }) => paths.filter(path => !path.endsWith('/')));
    assert.deepEqual(files, [programPath]);
    const layer = ours.find(({ paths }) => paths.includes(programPath));
    assert.ok(layer && bundle.equals(await readFromLayer(layer, programPath)), 'as npm run build makes it');
  });

  await test.test('it adds few bytes to its base', t => {
    for (const row of sizeTable(saved)) t.diagnostic(row);
    const sum = (sizes: readonly number[]) => sizes.reduce((total, size) => total + size, 0);
    assert.ok(sum(ours.map(({ bytes }) => bytes)) < largest);
    assert.ok(sum(ours.map(({ compressedBytes }) => compressedBytes)) < largestCompressed);
  });

  await test.test('it starts the agent as the DaemonSet expects, and says what it is', () =>
    assertDescription(saved),
  );

  await test.test('run with the rights of the DaemonSet, it warms a node', async t => {
    const node = await temporaryNode(t, { users });
    const { reference } = await publishImage(node.registry, { repository: 'api', tag: 'v1', layers: [1000] });

    const { stdout } = await runOn(t, image, node, { images: [reference], args: ['run', '--once'] });

    assert.match(stdout, /ready/);
    for (const file of ['var/lib/kubelet/config.json', 'root/.docker/config.json'])
      await assertWritten(node, file);
    assert.match(await node.runtime.ctr('images', 'ls', '-q'), new RegExp(`^${reference}$`, 'm'));
  });

  await test.test('run with them, it has no capability, no way to one and no root to write to', async t => {
    const node = await temporaryNode(t, { users });
    const print = ['-p', '["status", "mounts"].map(file => fs.readFileSync("/proc/self/" + file)).join("")'];

    const { stdout } = await runOn(t, image, node, { images: [], entrypoint: 'node', args: print });

    for (const line of [/^Uid:\s+0\s/m, /^CapPrm:\s+0+$/m, /^CapBnd:\s+0+$/m, /^NoNewPrivs:\s+1$/m])
      assert.match(stdout, line);
    assert.match(stdout, /^Seccomp:\s+2$/m);
    assert.match(stdout, /^\S+ \/ \S+ ro,/m);
  });
});

/** What does not depend on its layers: how it starts and what it says of itself. */
async function assertDescription({ config: { config } }: SavedImage): Promise<void> {
  const { container } = agentPod(await render(manifests));
  const { version, license } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'));
  assert.deepEqual(config.Entrypoint, ['node', `/${programPath}`]);
  assert.deepEqual(config.Cmd, container.args);
  assert.equal(config.User, '0:0');
  assert.deepEqual(Object.keys(config.ExposedPorts), [
    `${settingTable.listen.fallback.split(':').at(-1)}/tcp`,
  ]);
  assert.equal(config.WorkingDir, dirname(settingTable.helpers.fallback));
  assert.deepEqual(
    config.Env.filter(variable => !variable.startsWith('PATH=')),
    [],
    'nothing else is in its environment',
  );
  assert.equal(config.Labels['org.opencontainers.image.version'], version);
  assert.equal(config.Labels['org.opencontainers.image.licenses'], license);
  assert.equal(container.image, `${config.Labels['org.opencontainers.image.title']}:${version}`);
}

/** Runs the image to its end as the pod of the manifests, with a config that a user would write. */
async function runOn(
  test: TestContext,
  { docker, name }: AgentImage,
  node: SandboxNode,
  options: { images: readonly string[]; entrypoint?: string; args: readonly string[] },
): Promise<Printed> {
  await mkdir(join(node.hostRoot, 'var/lib/kubelet'));
  const objects = await render(manifests);
  const config = stringify({ images: options.images, disk: { keepFree: '1Mi' } });
  return runPod({
    ...agentPod(objects),
    ...options,
    objects: {
      [theOnly('ConfigMap', objects).metadata.name]: { 'config.yaml': config },
      'pullready-registry': {
        '.dockerconfigjson': secretFor(node),
      },
    },
    node: node.hostRoot,
    directory: await temporaryDirectory(test),
    docker,
    image: name,
  });
}

/** The bundle as the working tree makes it. */
async function buildBundle(test: TestContext): Promise<Buffer> {
  const bundle = join(await temporaryDirectory(test), basename(programPath));
  await promisify(execFile)('npm', ['run', 'build', '--', `--outfile=${bundle}`], {
    cwd: project,
    timeout: 60_000,
  });
  return readFile(bundle);
}
