import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { findRuntime, RuntimeFinder } from '../../agent/runtimes/find-runtime.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { type Engine, startDockerEngine } from '../sandbox/docker-engine.ts';
import { startPodmanEngine } from '../sandbox/podman-engine.ts';
import { temporaryDirectory, temporaryNode } from '../sandbox/temporary.ts';
import { serveRuntime } from './small-runtime.ts';

const limits = { timeout: 60_000 };
const never = new AbortController().signal;
const run = promisify(execFile);

/** A node's root with a real docker, and what is done to it from outside. */
async function startNode(t: TestContext) {
  const engine = await startDockerEngine(t);
  const node = await temporaryNode(t, { users: [] });
  await symlink(engine.socket, join(node.hostRoot, 'run/docker.sock'));
  return { engine, hostRoot: node.hostRoot };
}

const programFiles = "echo /bin/sleep; ldd /bin/sleep | grep -o '/[^ ]*'";

/** Runs in docker what cri-dockerd does for a pod, for the test and at most a minute; returns how it is stopped. */
async function runPod(t: TestContext, { address }: Engine): Promise<() => Promise<void>> {
  const docker = (...args: string[]) => run('docker', ['--host', address, ...args]);
  const tar = `{ ${programFiles}; } | tar ch --files-from -`;
  await run('sh', ['-c', `${tar} | docker --host ${address} import - pause:1`]);
  // It would outlive an engine that is killed.
  cleanUp(t, () => docker('rm', '--force', 'pod').catch(() => {}));
  const label = 'io.kubernetes.docker.type=podsandbox';
  const flags = ['--detach', '--name', 'pod', '--network', 'none', '--label', label];
  await docker('run', ...flags, 'pause:1', '/bin/sleep', '60');
  return async () => void (await docker('kill', 'pod'));
}

async function find(t: TestContext, hostRoot: string, uri = 'auto') {
  const finder = new RuntimeFinder(uri, hostRoot);
  const runtime = await finder.find(never);
  cleanUp(t, () => runtime.close());
  return { name: runtime.name, endpoint: runtime.endpoint, reason: finder.reason, runtime };
}

test('docker is found beside an idle containerd, and its own API beside cri-dockerd', limits, async t => {
  const { engine, hostRoot } = await startNode(t);
  const alone = await find(t, hostRoot);
  assert.deepEqual([alone.name, alone.endpoint], ['docker', 'unix:///run/docker.sock']);
  assert.match(
    alone.reason ?? '',
    /^no pods run anywhere, and docker is what .*; passed over: \/run\/containerd/,
  );

  await serveRuntime(t, join(hostRoot, 'run/cri-dockerd.sock'), {
    listPodSandbox: () => ({ items: [{ id: 'a' }] }),
  });
  // Its pods are another docker's, if this one has none.
  assert.equal((await find(t, hostRoot)).endpoint, 'unix:///run/cri-dockerd.sock');
  const stopPod = await runPod(t, engine);
  const both = await find(t, hostRoot);
  assert.equal(both.endpoint, 'unix:///run/docker.sock');
  assert.equal(
    both.reason,
    'pods of a kubelet run there; passed over: /run/containerd/containerd.sock (it answers and has no pods), /run/cri-dockerd.sock (it answers and has pods, too)',
  );

  // One that has ended, as an engine that was given up has them, is none.
  await stopPod();
  assert.equal((await find(t, hostRoot)).endpoint, 'unix:///run/cri-dockerd.sock');

  await engine.kill('SIGKILL');
  await both.runtime.closed;
  assert.equal((await find(t, hostRoot)).endpoint, 'unix:///run/cri-dockerd.sock');
});

test('whether a socket that is named speaks CRI or docker is found out by asking', limits, async t => {
  const { hostRoot } = await startNode(t);
  await mkdir(join(hostRoot, 'opt'));
  await symlink('../run/docker.sock', join(hostRoot, 'opt/one.sock'));
  await symlink('../run/containerd/containerd.sock', join(hostRoot, 'opt/other.sock'));
  await symlink((await startPodmanEngine(t)).socket, join(hostRoot, 'opt/third.sock'));
  const [docker, containerd] = [
    await find(t, hostRoot, 'unix:///opt/one.sock'),
    await find(t, hostRoot, 'unix:///opt/other.sock'),
  ];
  assert.deepEqual(
    [docker.name, docker.endpoint, containerd.name, containerd.endpoint],
    ['docker', 'unix:///opt/one.sock', 'containerd', 'unix:///opt/other.sock'],
  );
  assert.equal(docker.reason, '--runtime names it');
  assert.equal((await find(t, hostRoot, 'unix:///opt/third.sock')).name, 'podman');
});

test('a socket that is named and of no use is told in one sentence', limits, async t => {
  const hostRoot = await temporaryDirectory(t);
  const path = join(hostRoot, 'x.sock');
  const says = (message: string | RegExp) =>
    assert.rejects(findRuntime('unix:///x.sock', hostRoot, never), { name: 'Failure', message });
  await says(/^connecting to [^ ]*x\.sock: it does not exist; check the path and the mount$/);

  let answer = 'hello';
  const server = createHttpServer((_request, response) => response.end(answer)).listen(path);
  await once(server, 'listening');
  const neither = (why: string) =>
    new RegExp(
      `^connecting to [^ ]*x\\.sock: it can be used neither over CRI \\(what listens there does not answer in gRPC\\) nor as docker \\(${why}\\); use the socket of [^;]*$`,
    );
  await says(neither('what listens there [^;]*'));
  answer = JSON.stringify({ Version: '1.12.6', ApiVersion: '1.24', MinAPIVersion: '1.12' });
  await says(neither("docker 1\\.12\\.6 speaks version 1\\.24 of docker's API, and 1\\.25 is needed"));
  server.closeAllConnections();
  server.close();
  await once(server, 'close');

  const sockets = new Set<Socket>();
  const silent = createServer(socket => sockets.add(socket.on('error', () => socket.destroy())));
  cleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  silent.listen(path);
  await once(silent, 'listening');
  await says(/^connecting to [^ ]*: what listens there does not answer; look whether the runtime hangs$/);
});
