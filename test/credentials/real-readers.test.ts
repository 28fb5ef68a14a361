import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { flagsFor, startAgent } from '../agent-process.ts';
import { dockerConfigJson } from '../sandbox/docker-config.ts';
import { startDockerEngine } from '../sandbox/docker-engine.ts';
import { type PublishedImage, publishImage } from '../sandbox/images.ts';
import type { SandboxNode } from '../sandbox/sandbox-node.ts';
import { temporaryDirectory, temporaryNode } from '../sandbox/temporary.ts';
import { identityToken } from '../sandbox/token-service.ts';
import { waitUntil } from '../sandbox/wait-until.ts';

const limits = { timeout: 120_000 };
const [kubeletFile, dockerFile] = ['var/lib/kubelet/config.json', 'root/.docker/config.json'];
const user = 'robot';
const [first, second] = ['first-Passw0rd', 'second-Passw0rd'];

for (const authentication of ['htpasswd', 'token'] as const)
  test(
    `skopeo and docker pull as long as the Secret has the password in force (${authentication})`,
    limits,
    async t => {
      await rotateAndRevoke(t, await setUp(t, authentication));
    },
  );

test("skopeo and docker pull also if other people's entries and keys are in the files", limits, async t => {
  const scene = await setUp(t, 'token');
  const theirs = {
    auths: {
      'registry.example.com': { auth: base64('somebody:theirs'), email: 'somebody@example.com' },
      'https://index.docker.io/v1/': { username: 'somebody', password: 'ünïcødé "quoted"' },
    },
    credHelpers: { '000000000000.dkr.ecr.eu-central-1.amazonaws.com': 'ecr-login' },
    HttpHeaders: { 'X-Meta-Source': 'node <1>' },
    detachKeys: 'ctrl-e,e',
    psFormat: 'table {{.ID}}\\t{{.Labels}}',
    plugins: { somePlugin: { someOption: '1' } },
  };
  for (const file of [kubeletFile, dockerFile]) await writeOnNode(scene.node, file, theirs);

  await rotateAndRevoke(t, scene);

  for (const file of [kubeletFile, dockerFile]) {
    const { auths, ...keys } = await readOnNode(scene.node, file);
    const { 'elsewhere.example.com': _ours, ...entries } = auths;
    assert.deepEqual({ auths: entries, ...keys }, theirs, file);
  }
});

test(
  "an identity token is docker's alone: docker and skopeo pull with it from docker's file",
  limits,
  async t => {
    const { node, readers } = await setUp(t, 'token');
    const [kubelets, ...dockers] = readers;
    assert.ok(kubelets);
    const { host } = node.registry;
    const login = (password: string) => identityToken({ user, password });
    const updateToken = (identitytoken: string) =>
      node.updateSecret('team', {
        '.dockerconfigjson': JSON.stringify({
          auths: { [host]: { identitytoken }, 'b.io': { auth: base64('u:p') } },
        }),
      });
    const untilToken = (token: string) =>
      waitUntil(
        async () => {
          const config = await readOnNode(node, dockerFile).catch(() => undefined);
          return config?.auths[host]?.identitytoken === token;
        },
        { what: 'the token', timeoutMs: 10_000 },
      );
    await updateToken(login(first));
    await startAgent(t, flagsFor(node, '--runtime', 'none'));
    await untilToken(login(first));
    assert.deepEqual(Object.keys((await readOnNode(node, kubeletFile)).auths), ['b.io']);
    await everyReaderPulls(dockers);
    await everyReaderIsRefused([kubelets]);
    await node.registry.setPassword(user, second);
    await everyReaderIsRefused(dockers);
    await updateToken(login(second));
    await untilToken(login(second));
    await everyReaderPulls(dockers);
  },
);

/** A node, and everybody who reads what is written there. */
type Scene = { readonly node: SandboxNode; readonly readers: readonly Reader[] };

/** Somebody who pulls an image with the credential of one written file; `pull` rejects with what it says if it fails. */
type Reader = { readonly name: string; readonly pull: () => Promise<void> };

async function setUp(t: TestContext, authentication: 'htpasswd' | 'token'): Promise<Scene> {
  const users = [{ name: user, password: first, repositories: ['team/'] }];
  const node = await temporaryNode(t, { users, authentication });
  const recipe = { repository: 'team/api', tag: 'v1', layers: [20_000, 10_000, 5_000] };
  const image = await publishImage(node.registry, recipe);
  await node.updateConfig({ images: [image.reference], disk: { keepFree: 1 } });
  const readers = [
    skopeo(t, join(node.hostRoot, kubeletFile), image),
    skopeo(t, join(node.hostRoot, dockerFile), image),
    await docker(t, join(node.hostRoot, dirname(dockerFile)), image),
  ];
  return { node, readers };
}

/** The life of a credential: written, out of date, written anew, revoked. */
async function rotateAndRevoke(t: TestContext, { node, readers }: Scene): Promise<void> {
  await updateSecret(node, node.registry.host, first);
  const agent = await startAgent(t, flagsFor(node));
  await agent.untilReady();
  await everyReaderPulls(readers);

  await node.registry.setPassword(user, second);
  await everyReaderIsRefused(readers);

  await updateSecret(node, node.registry.host, second);
  await untilWritten(node, `${user}:${second}`);
  await everyReaderPulls(readers);

  await updateSecret(node, 'elsewhere.example.com', second);
  await untilWritten(node, undefined);
  await everyReaderIsRefused(readers);
}

async function everyReaderPulls(readers: readonly Reader[]): Promise<void> {
  for (const reader of readers) await assert.doesNotReject(reader.pull(), reader.name);
}

async function everyReaderIsRefused(readers: readonly Reader[]): Promise<void> {
  for (const reader of readers)
    await assert.rejects(reader.pull(), ({ message }: Error) => {
      assert.match(message, /unauthorized|no basic auth credentials/, reader.name);
      assert.doesNotMatch(message, /warning/i, reader.name);
      return true;
    });
}

/** skopeo, which copies the image into a directory. */
function skopeo(t: TestContext, authFile: string, { reference, digest }: PublishedImage): Reader {
  const name = `skopeo --authfile ${authFile}`;
  async function pull(): Promise<void> {
    const directory = await temporaryDirectory(t);
    const options = ['--quiet', '--src-tls-verify=false', '--authfile', authFile];
    const places = [`docker://${reference}`, `dir:${directory}/image`];
    // As root it would keep a cache in /var/lib/containers, which is the machine's.
    const environment = { _CONTAINERS_ROOTLESS_UID: '1', XDG_DATA_HOME: directory };
    await run(t, ['skopeo', '--insecure-policy', 'copy', ...options, ...places], environment);
    assert.equal(sha256(await readFile(join(directory, 'image/manifest.json'))), digest, name);
  }
  return { name, pull };
}

/** docker's CLI with an engine that has nothing yet. */
async function docker(t: TestContext, configDirectory: string, image: PublishedImage): Promise<Reader> {
  const engine = await startDockerEngine(t);
  const name = `docker --config ${configDirectory}`;
  const cli = ['docker', '--config', configDirectory, '--host', engine.address] as const;
  async function pull(): Promise<void> {
    const { stdout, stderr } = await run(t, [...cli, 'pull', image.reference]);
    assert.match(stdout, new RegExp(`^Digest: ${image.digest}$`, 'm'), name);
    assert.equal(stderr, '', `${name} warns`);
    await run(t, [...cli, 'image', 'rm', image.reference]); // so that the next pull fetches all of it again
  }
  return { name, pull };
}

/** Runs a program that finds no configuration of the person who runs the tests. */
async function run(
  t: TestContext,
  [program, ...args]: readonly [program: string, ...args: string[]],
  environment: NodeJS.ProcessEnv = {},
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const env = { PATH: process.env.PATH, HOME: await temporaryDirectory(t), ...environment };
  return await promisify(execFile)(program, args, { env, timeout: 30_000 });
}

async function updateSecret(node: SandboxNode, registry: string, password: string): Promise<void> {
  await node.updateSecret('team', { '.dockerconfigjson': dockerConfigJson({ registry, user, password }) });
}

async function untilWritten(node: SandboxNode, login: string | undefined): Promise<void> {
  const auth = login === undefined ? undefined : base64(login);
  const isWritten = async (file: string) =>
    (await readOnNode(node, file)).auths[node.registry.host]?.auth === auth;
  await waitUntil(async () => (await isWritten(kubeletFile)) && (await isWritten(dockerFile)), {
    what: `both files with ${login ?? 'nothing'} for the registry`,
    timeoutMs: 5_000,
  });
}

async function writeOnNode(node: SandboxNode, file: string, config: object): Promise<void> {
  const path = join(node.hostRoot, file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(config, null, '\t'), { mode: 0o600 });
}

async function readOnNode(node: SandboxNode, file: string) {
  return JSON.parse(await readFile(join(node.hostRoot, file), 'utf8'));
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function sha256(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
