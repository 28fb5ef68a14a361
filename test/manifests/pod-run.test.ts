import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, link, mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import type { Status } from '../../agent/status/status.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { createDockerEngine } from '../sandbox/docker-engine.ts';
import { publishImage } from '../sandbox/images.ts';
import type { SandboxNode } from '../sandbox/sandbox-node.ts';
import { temporaryDirectory, temporaryNode } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';
import { entrypointOf, first, type Instruction, readDockerfile } from './dockerfile.ts';
import { type RunningContainer, startPod } from './pod-on-runc.ts';
import { placesOf } from './pod-places.ts';
import { agentPod, configText, manifests, render, theOnly } from './rendered.ts';
import { assertWritten, secretFor, users } from './written.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const [kubeletFile, dockerFile] = ['var/lib/kubelet/config.json', 'root/.docker/config.json'];

describe('the rendered pod, started on a node with no more rights than it is given', {
  timeout: 180_000,
}, () => {
  let finalStage: readonly Instruction[];

  before(async () => {
    ({ finalStage } = await readDockerfile());
  });

  it('writes the credentials, pulls an image, gets ready, and ends on SIGTERM', async test => {
    const node = await temporaryNode(test, { users });
    const { reference } = await publishImage(node.registry, { repository: 'api', tag: 'v1', layers: [1000] });
    const config = stringify({ images: [reference], disk: { keepFree: '1Mi' } });

    const agent = await startAgentPod(test, node, manifests, config);
    await untilReady(agent);

    for (const file of [kubeletFile, dockerFile]) await assertWritten(node, file);
    assert.match(await node.runtime.ctr('images', 'ls', '-q'), new RegExp(`^${reference}$`, 'm'));
    const { disk, node: name } = await statusOf(agent);
    assert.ok(disk.freeBytes, 'it sees the file system of the images without a mount of it');
    assert.equal(name, 'node-1');
    assert.equal(await agent.stop(), 0);
  });

  it('has neither capabilities nor a way to more, and cannot change what is mounted to be read', async test => {
    const node = await temporaryNode(test, { users });
    const agent = await startAgentPod(test, node, manifests);
    await untilReady(agent);

    const process1 = await agent.exec(['node', '-p', 'fs.readFileSync("/proc/1/status", "utf8")']);
    for (const line of [/^CapPrm:\s+0+$/m, /^CapEff:\s+0+$/m, /^NoNewPrivs:\s+1$/m, /^Seccomp:\s+2$/m])
      assert.match(process1, line);
    for (const directory of ['/', '/tmp', '/host', '/host/run', '/etc/pullready/config'])
      assert.match(await agent.exec(['node', '-e', writeInto(directory)]), /^(EROFS|ENOENT)$/m, directory);
    assert.deepEqual(
      await readdir(join(node.hostRoot, 'run')),
      ['cni', 'containerd'],
      'it leaves nothing in /run',
    );
  });

  it('kubelet-only: gets ready on a node where nothing can be made in /root', async test => {
    const node = await temporaryNode(test, { users });

    const agent = await startAgentPod(test, node, join(manifests, 'variants/kubelet-only'));
    await untilReady(agent);

    await assertWritten(node, kubeletFile);
    await assert.rejects(access(join(node.hostRoot, 'root')), { code: 'ENOENT' });
  });

  for (const variant of ['k3s', 'k0s', 'microk8s'])
    it(`${variant}: gets ready where its nodes have the runtime and the kubelet`, async test => {
      const node = await temporaryNode(test, { users });
      const kustomization = join(manifests, 'variants', variant);
      const { sockets, targets } = placesOf(kustomization);
      for (const socket of sockets) await linkInto(node.hostRoot, socket, node.runtime.socket);

      const agent = await startAgentPod(test, node, kustomization);
      await untilReady(agent);

      for (const target of targets) await assertWritten(node, target);
      assert.equal((await statusOf(agent)).runtime.endpoint, `unix://${sockets[0]}`);
    });

  it('docker: warms docker, also where containerd answers, and measures the room where docker has its data', async test => {
    const node = await temporaryNode(test, { users });
    const docker = createDockerEngine({
      nodeRoot: node.hostRoot,
      logFile: join(node.directory, 'log/dockerd.log'),
    });
    cleanUp(test, () => docker.stop());
    await docker.start();

    const { reference } = await publishImage(node.registry, { repository: 'api', tag: 'v1', layers: [1000] });
    const config = stringify({ images: [reference], disk: { keepFree: '1Mi' } });
    const agent = await startAgentPod(test, node, join(manifests, 'variants/docker'), config);
    await untilReady(agent);

    const { runtime, disk, images } = await statusOf(agent);
    assert.deepEqual(
      images.map(({ image, state }) => [image, state]),
      [[reference, 'present']],
    );
    assert.doesNotMatch(await node.runtime.ctr('images', 'ls', '-q'), /api/);
    assert.deepEqual(
      [runtime.name, runtime.endpoint, disk.path],
      ['docker', 'unix:///run/docker.sock', '/var/lib/docker'],
    );
  });

  /** Starts the pod; in place of the config of the manifests it can be given one that a user would write. */
  async function startAgentPod(
    test: TestContext,
    node: SandboxNode,
    kustomization: string,
    config?: string,
  ): Promise<RunningContainer> {
    let agent: RunningContainer | undefined;
    const directory = await temporaryDirectory(test);
    cleanUp(test, async () => agent?.remove());
    await mkdir(join(node.hostRoot, placesOf(kustomization).kubeletRoot), { recursive: true });
    await mkdir(join(directory, 'container'));
    const objects = await render(kustomization);
    agent = await startPod({
      ...agentPod(objects),
      image: {
        entrypoint: entrypointOf(finalStage),
        directory: first('WORKDIR', finalStage),
        bundle: await buildBundle(directory),
      },
      objects: {
        [theOnly('ConfigMap', objects).metadata.name]: { 'config.yaml': config ?? configText(objects) },
        'pullready-registry': { '.dockerconfigjson': secretFor(node) },
      },
      node: node.hostRoot,
      containerd: node.runtime,
      directory: join(directory, 'container'),
    });
    return agent;
  }
});

/** Gives a socket one more place on the node. */
async function linkInto(hostRoot: string, place: string, socket: string): Promise<void> {
  await mkdir(dirname(join(hostRoot, place)), { recursive: true });
  await link(socket, join(hostRoot, place));
}

async function buildBundle(directory: string): Promise<string> {
  const bundle = join(directory, 'pullready.mjs');
  await promisify(execFile)('npm', ['run', 'build', '--', `--outfile=${bundle}`], { cwd: project });
  return bundle;
}

/** A program that prints why a file cannot be made in a directory. */
function writeInto(directory: string): string {
  return `try { fs.writeFileSync('${directory}/x', ''); console.log('written'); } catch (e) { console.log(e.code); }`;
}

/** Waits until both probes of the kubelet are answered with 200; if they never are, says what the agent had to say. */
async function untilReady(agent: RunningContainer): Promise<void> {
  const probed = async () => {
    const answers = await Promise.all(['/livez', '/readyz'].map(path => get(agent, path)));
    return answers.every(({ status }) => status === 200);
  };
  await waitUntil(probed, { what: 'the agent to be ready', timeoutMs: 30_000 }).catch(cause => {
    throw new Error(`the agent is not ready: ${agent.output()}`, { cause });
  });
}

async function statusOf(agent: RunningContainer): Promise<Status> {
  return JSON.parse((await get(agent, '/status')).body);
}

/** A request from within the container, whose network is its own. */
async function get(agent: RunningContainer, path: string): Promise<{ status: number; body: string }> {
  const request = `fetch('http://127.0.0.1:9797${path}').then(async r => console.log(JSON.stringify({ status: r.status, body: await r.text() })))`;
  return JSON.parse(await agent.exec(['node', '-e', request]));
}
