import { mkdir, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { cleanUp } from './cleanup.ts';
import { startProgram, waitUntilReady } from './program.ts';
import { temporaryDirectory } from './temporary.ts';

/** A docker engine of our own. It pulls, also over plain HTTP from 127.0.0.0/8, and runs no containers. */
export type DockerEngine = {
  /** Where clients connect, as docker's CLI takes it with `--host`. */
  readonly address: string;
};

/**
 * Starts dockerd for one test, in a directory of its own; both are gone after it, also if the test fails. As containerd
 * in the sandbox it has directories of its own as `/run` and `/var`: it neither finds the system's containerd nor leaves
 * a mount behind. The containerd that it starts ends with it, also if it is killed.
 */
export async function startDockerEngine(test: TestContext): Promise<DockerEngine> {
  const directory = await temporaryDirectory(test);
  for (const name of ['run', 'var']) await mkdir(join(directory, name));
  await writeFile(join(directory, 'daemon.json'), JSON.stringify(config));
  const dockerd = await startProgram({
    name: 'dockerd',
    command: ['unshare', '--mount', 'sh', '-c', startScript],
    directory,
    logFile: join(directory, 'dockerd.log'),
  });
  cleanUp(test, () => dockerd.stop());
  const socketPath = join(directory, 'run/docker.sock');
  await waitUntilReady(dockerd, () => answers(socketPath));
  return { address: `unix://${socketPath}` };
}

// Relative paths and -c, because the directory itself may lie below /var or /run, out of sight after the first mount.
const startScript = `
  mount --no-mtab -c --bind run /run &&
  mount --no-mtab -c --bind var /var &&
  exec dockerd --config-file daemon.json`;

const config = {
  hosts: ['unix:///run/docker.sock'],
  pidfile: '/run/docker.pid',
  'exec-root': '/run/docker',
  'data-root': '/var/lib/docker',
  'deprecated-key-path': '/var/lib/docker/key.json', // else in /etc/docker, which is the system's
  'storage-driver': 'vfs', // works on every file system
  // The machine's network stays as it is.
  bridge: 'none',
  iptables: false,
  ip6tables: false,
  'ip-forward': false,
};

/** Whether the engine answers a ping. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path: '/_ping', timeout: 1_000 }, response => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy(new Error('no answer within a second')));
    request.on('error', reject);
  });
}
