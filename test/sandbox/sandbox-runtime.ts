import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type ContainerdOptions, createContainerd } from './containerd.ts';
import { createDockerEngine } from './docker-engine.ts';
import type { NodeProgram } from './node-program.ts';
import { dockerRequirements, type Requirement, sandboxRequirements } from './requirements.ts';

const run = promisify(execFile);

/** A container runtime as the sandbox of `npm start` needs it. */
export type SandboxRuntime = NodeProgram & {
  /** Deletes the images of a repository (`/team-a/web:`), with all their names; false if there are none. */
  deleteImages(repository: string): Promise<boolean>;
};

/** A runtime that the sandbox can have. */
type RuntimeChoice = {
  readonly requirements: readonly Requirement[];
  readonly create: (options: ContainerdOptions) => SandboxRuntime;
  /** What a person types to see the images, given the directory that stands in for the node's `/`. */
  readonly listCommand: (nodeRoot: string) => string;
};

/** A value of `--sandbox-runtime`. */
export type RuntimeName = 'containerd' | 'docker';

/** What the sandbox can have. */
export const runtimeChoices: Readonly<Record<RuntimeName, RuntimeChoice>> = {
  containerd: {
    requirements: sandboxRequirements,
    create: withCtr,
    listCommand: nodeRoot => `ctr -a ${nodeRoot}/run/containerd/containerd.sock -n k8s.io images ls -q`,
  },
  docker: {
    requirements: [...sandboxRequirements, ...dockerRequirements],
    create: withDocker,
    listCommand: nodeRoot => `docker -H unix://${nodeRoot}/run/docker.sock images`,
  },
};

function withCtr(options: ContainerdOptions): SandboxRuntime {
  const containerd = createContainerd(options);
  return {
    ...containerd,
    async deleteImages(repository) {
      const lines = (await containerd.ctr('images', 'ls')).split('\n');
      const line = lines.find(line => line.includes(repository));
      const [digest] = /sha256:[0-9a-f]{64}/.exec(line ?? '') ?? [];
      if (digest === undefined) return false;
      const names = lines.filter(line => line.includes(digest)).flatMap(line => line.split(' ').slice(0, 1));
      await containerd.ctr('images', 'rm', '--sync', ...names);
      return true;
    },
  };
}

function withDocker(options: ContainerdOptions): SandboxRuntime {
  const engine = createDockerEngine(options);
  const docker = async (...args: readonly string[]) =>
    (await run('docker', ['--host', engine.address, ...args])).stdout;
  return {
    ...engine,
    async deleteImages(repository) {
      const names = (await docker('images', '--format', '{{.Repository}}:{{.Tag}}')).split('\n');
      const own = names.filter(name => name.includes(repository));
      if (own.length > 0) await docker('rmi', '--force', ...own);
      return own.length > 0;
    },
  };
}
