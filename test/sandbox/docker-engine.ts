import { rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { cleanUp } from './cleanup.ts';
import { createNodeProgram, type NodeProgram } from './node-program.ts';
import { temporaryDirectory } from './temporary.ts';

/** Where an engine has its directories, and what it knows. */
export type EngineOptions = {
  /** A directory of at most 70 bytes. */
  readonly nodeRoot: string;
  readonly logFile: string;
  /** The names that stand for 127.0.0.1, and whom alone it asks for others. */
  readonly names?: { readonly local: readonly string[]; readonly server: string } | undefined;
};

/** What is particular to dockerd. */
export type DockerEngineOptions = EngineOptions & {
  /** How often a layer is tried before a pull fails, with pauses of 5, 10, 15... seconds between; 5 if not given. */
  readonly layerAttempts?: number;
  /** More of daemon.json; goes before what stands there. */
  readonly settings?: object;
};

/** An engine of our own that speaks docker's API. It pulls, also over plain HTTP from 127.0.0.0/8, and runs no containers. */
export type Engine = NodeProgram & {
  /** Where clients connect, as docker's CLI takes it with `--host`. */
  readonly address: string;
};

/**
 * Describes a private dockerd that listens at NODE_ROOT/run/docker.sock; see `createNodeProgram`. It neither finds the
 * system's containerd nor leaves a mount behind. The containerd that it starts ends with it, also if it is killed.
 */
export function createDockerEngine(options: DockerEngineOptions): Engine {
  const { nodeRoot, layerAttempts = 5, settings } = options;
  const program = createNodeProgram({
    ...options,
    name: 'dockerd',
    socketPath: 'run/docker.sock',
    ownDirectories: ['run', 'var', 'etc'],
    command: 'dockerd --config-file /etc/daemon.json',
    async layOut() {
      await writeNames(options);
      await writeFile(
        join(nodeRoot, 'etc/daemon.json'),
        JSON.stringify({ ...config, 'max-download-attempts': layerAttempts, ...settings }),
      );
      // Left by one that was killed; meanwhile the process id may be somebody else's, which it would wait for.
      for (const file of ['docker.pid', 'docker/containerd/containerd.pid'])
        await rm(join(nodeRoot, 'run', file), { force: true });
    },
    answers: answersPing,
  });
  return { ...program, address: `unix://${program.socket}` };
}

/** Starts dockerd for one test, in a directory of its own; both are gone after it, also if the test fails. */
export async function startDockerEngine(test: TestContext): Promise<Engine> {
  const nodeRoot = await temporaryDirectory(test);
  const engine = createDockerEngine({ nodeRoot, logFile: join(nodeRoot, 'dockerd.log') });
  cleanUp(test, () => engine.stop());
  await engine.start();
  return engine;
}

const config = {
  hosts: ['unix:///run/docker.sock'],
  pidfile: '/run/docker.pid',
  'exec-root': '/run/docker',
  'data-root': '/var/lib/docker',
  'storage-driver': 'vfs', // works on every file system
  // The machine's network stays as it is.
  bridge: 'none',
  iptables: false,
  ip6tables: false,
  'ip-forward': false,
};

/** Writes whom the engine knows and asks: nobody, if no names are given. */
export async function writeNames({ nodeRoot, names }: EngineOptions): Promise<void> {
  const local = ['localhost', ...(names?.local ?? [])];
  await writeFile(join(nodeRoot, 'etc/hosts'), `127.0.0.1 ${local.join(' ')}\n`);
  await writeFile(join(nodeRoot, 'etc/resolv.conf'), names ? `nameserver ${names.server}\n` : '');
}

/** Whether an engine answers a ping. */
export function answersPing(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path: '/_ping', timeout: 1_000 }, response => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy(new Error('no answer within a second')));
    request.on('error', reject);
  });
}
