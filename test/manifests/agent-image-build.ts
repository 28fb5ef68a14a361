import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { cleanUp } from '../sandbox/cleanup.ts';
import { answersPing } from '../sandbox/docker-engine.ts';
import { createNodeProgram } from '../sandbox/node-program.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { layOutBuildBase, layOutFinalBase } from './agent-image-bases.ts';
import { servePackages } from './agent-image-packages.ts';

const run = promisify(execFile);

/** What a program printed. */
export type Printed = { readonly stdout: string; readonly stderr: string };

/** Calls docker's CLI on an engine of its own. */
export type Docker = (...args: readonly string[]) => Promise<Printed>;

/** The agent's image, in an engine of its own, and what it was made from. */
export type AgentImage = {
  readonly docker: Docker;
  readonly name: string;
  /** The base of the shipped stage; it stands in for one that cannot be had without a network. */
  readonly baseName: string;
};

/**
 * Builds the agent's image from the project's Dockerfile and working tree. In place of its two base images there are
 * ones that are made of this machine's programs, and in place of the packages' registry one on the loopback interface.
 */
export async function buildAgentImage(test: TestContext, project: string): Promise<AgentImage> {
  const [name, buildBase, baseName] = ['pullready', 'build-base', 'final-base'];
  const directory = await temporaryDirectory(test);
  const docker = await startBuilder(test);
  const packages = await servePackages(test, project);

  // 1. The bases.
  const [buildRoot, finalRoot] = [join(directory, 'build'), join(directory, 'final')];
  await layOutBuildBase(buildRoot);
  await importImage(docker, buildRoot, buildBase, `ENV npm_config_registry=${packages.url}`);
  await layOutFinalBase(finalRoot);
  await importImage(docker, finalRoot, baseName);

  // 2. The image. The builder shares this machine's network for the registry on the loopback interface.
  const bases = { BUILD_IMAGE: buildBase, BASE_IMAGE: baseName };
  const args = Object.entries(bases).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
  const built = docker('build', '--progress=plain', '--network=host', ...args, '--tag', name, project);
  await built.catch(cause => {
    assert.deepEqual(packages.missing, [], missingPackages);
    throw cause;
  });
  return { docker, name, baseName };
}

const missingPackages =
  "These packages of package-lock.json are not in npm's cache, from which the test takes them: install the project again with `npm ci`";

/** Makes an image of one layer from a directory, with these instructions of a Dockerfile. */
async function importImage(
  docker: Docker,
  root: string,
  name: string,
  ...changes: readonly string[]
): Promise<void> {
  const archive = `${root}.tar`;
  await run('tar', ['--create', '--file', archive, '--directory', root, '.']);
  await docker('import', ...changes.flatMap(change => ['--change', change]), archive, name);
}

/**
 * Starts a dockerd that can also build and run, for one test. Other than the sandbox's docker node it takes the storage
 * driver that the file system allows, because a build makes many layers, and mounts that can be propagated.
 */
async function startBuilder(test: TestContext): Promise<Docker> {
  const nodeRoot = await temporaryDirectory(test);
  const engine = createNodeProgram({
    name: 'dockerd',
    nodeRoot,
    logFile: join(nodeRoot, 'dockerd.log'),
    socketPath: 'run/docker.sock',
    ownDirectories: ['run', 'var', 'etc'],
    command: "sh -c 'mount --make-rshared / && exec dockerd --config-file /etc/daemon.json'",
    layOut: () => writeFile(join(nodeRoot, 'etc/daemon.json'), JSON.stringify(configuration)),
    answers: answersPing,
  });
  cleanUp(test, () => engine.stop());
  await engine.start();

  const home = join(nodeRoot, 'home'); // without the configuration of the person who runs the tests
  await mkdir(home);
  // Debian's CLI comes first: it has a builder in it, for which others want a plugin.
  const path = ['/usr/bin', process.env.PATH].join(delimiter);
  const env = { PATH: path, HOME: home, DOCKER_HOST: `unix://${engine.socket}`, DOCKER_BUILDKIT: '1' };
  return (...args) => run('docker', args, { env, timeout: 120_000, maxBuffer: 2 ** 24 });
}

const configuration = {
  hosts: ['unix:///run/docker.sock'],
  pidfile: '/run/docker.pid',
  'exec-root': '/run/docker',
  'data-root': '/var/lib/docker',
  // The machine's network stays as it is, and nobody is asked for a name.
  bridge: 'none',
  iptables: false,
  ip6tables: false,
  'ip-forward': false,
  dns: ['127.0.0.1'],
  'shutdown-timeout': 2,
};
