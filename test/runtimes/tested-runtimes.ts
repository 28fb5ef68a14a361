import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { connectCri } from '../../agent/runtimes/cri/cri-runtime.ts';
import { connectDocker } from '../../agent/runtimes/docker/docker-runtime.ts';
import type { Runtime } from '../../agent/runtimes/runtime.ts';
import { createContainerd } from '../sandbox/containerd.ts';
import { createDockerEngine, type EngineOptions } from '../sandbox/docker-engine.ts';
import type { NodeProgram } from '../sandbox/node-program.ts';
import { createPodmanEngine } from '../sandbox/podman-engine.ts';

/** A kind of runtime that the contract is held against, the real one. */
export type TestedRuntime = {
  /** As it calls itself. */
  readonly name: 'containerd' | 'docker' | 'podman';
  /** What it can do beyond what every runtime can. */
  readonly capabilities: {
    /** Some tell only in the end of how many bytes there are in total. */
    readonly progress: 'of a total' | 'of bytes' | 'none';
    /** Otherwise a layer may be missing from it for a moment; whoever shows it passes over that. */
    readonly progressOnlyGrows: boolean;
    readonly pins: boolean;
    readonly watchDeletions: boolean;
    /** Breaks off a request that has no answer yet when its pull is cancelled; others wait for the answer. */
    readonly cancelsRequests: boolean;
  };
  /** Where it keeps the images, a path on the node. */
  readonly imageDirectory: string;
  /** Describes one on a node's root, and what is done to it from outside. */
  create(options: EngineOptions): Daemon;
  /** Connects to the socket of one. */
  connect(socketPath: string, endpoint: string, signal: AbortSignal): Promise<Runtime>;
};

/** The daemon of a runtime, and what others do to its images. */
export type Daemon = Pick<NodeProgram, 'socket' | 'start' | 'stop' | 'kill' | 'pid'> & {
  /** Gives an image one more name. */
  tag(name: string, repository: string, tag: string): Promise<void>;
  /** Deletes an image with all its names. */
  delete(id: string, names: readonly string[]): Promise<void>;
};

export const containerd: TestedRuntime = {
  name: 'containerd',
  // A layer that has come is no ingest any more, and gets the label with its repository a moment later.
  capabilities: {
    progress: 'of a total',
    progressOnlyGrows: true,
    pins: true,
    watchDeletions: true,
    cancelsRequests: true,
  },
  imageDirectory: '/var/lib/containerd',
  create(options) {
    const program = createContainerd(options);
    return {
      ...program,
      tag: async (name, repository, tag) =>
        void (await program.ctr('images', 'tag', name, `${repository}:${tag}`)),
      delete: async (id, names) => void (await program.ctr('images', 'rm', ...names, id)),
    };
  },
  connect: connectCri,
};

export const docker: TestedRuntime = {
  name: 'docker',
  // Its client of registries knows of no cancellation until there is an answer to read.
  capabilities: {
    progress: 'of a total',
    progressOnlyGrows: true,
    pins: false,
    watchDeletions: true,
    cancelsRequests: false,
  },
  imageDirectory: '/var/lib/docker',
  // A layer that failed would be tried five times, with up to 20 seconds between; what is said in the end is the same.
  create: options => withDockerApi(createDockerEngine({ ...options, layerAttempts: 1 })),
  connect: connectDocker,
};

export const podman: TestedRuntime = {
  name: 'podman',
  // It names a layer when it begins with it, so that there may always be one more.
  capabilities: {
    progress: 'of bytes',
    progressOnlyGrows: true,
    pins: false,
    watchDeletions: false,
    cancelsRequests: true,
  },
  imageDirectory: '/var/lib/containers',
  create: options => withDockerApi(createPodmanEngine(options)),
  connect: connectDocker,
};

/** What others do to the images of an engine, by docker's API. */
function withDockerApi(engine: NodeProgram): Daemon {
  const call = (method: string, path: string, query: Record<string, string>) =>
    callEngine(engine.socket, method, `/v1.40${path}?${new URLSearchParams(query)}`);
  return {
    ...engine,
    tag: (name, repo, tag) => call('POST', `/images/${name}/tag`, { repo, tag }),
    delete: id => call('DELETE', `/images/${id}`, { force: 'true' }),
  };
}

async function callEngine(socketPath: string, method: string, path: string): Promise<void> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ socketPath, method, path, timeout: 10_000 }, resolve).on('error', reject).end();
  });
  const body = await text(response);
  if ((response.statusCode ?? 500) >= 300) throw new Error(`${method} ${path}: ${body}`);
}
