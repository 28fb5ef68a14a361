import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { cleanUp } from './cleanup.ts';
import { answersPing, type Engine, type EngineOptions, writeNames } from './docker-engine.ts';
import { createNodeProgram } from './node-program.ts';
import { temporaryDirectory } from './temporary.ts';

/**
 * Describes a private podman that serves docker's API at NODE_ROOT/run/podman/podman.sock; see `createNodeProgram`. All
 * its configuration is its own, too, also the credentials that it would find in a home directory.
 */
export function createPodmanEngine(options: EngineOptions): Engine {
  const socketPath = 'run/podman/podman.sock';
  const program = createNodeProgram({
    ...options,
    name: 'podman',
    socketPath,
    ownDirectories: ['run', 'var', 'etc'],
    command: `env HOME=/var/lib/podman CONTAINERS_CONF=/etc/containers/containers.conf podman system service --time=0 unix:///${socketPath}`,
    layOut: () => layOut(options),
    answers: answersPing,
  });
  return { ...program, address: `unix://${program.socket}` };
}

/** Starts podman for one test, in a directory of its own; both are gone after it, also if the test fails. */
export async function startPodmanEngine(test: TestContext): Promise<Engine> {
  const nodeRoot = await temporaryDirectory(test);
  const engine = createPodmanEngine({ nodeRoot, logFile: join(nodeRoot, 'podman.log') });
  cleanUp(test, () => engine.stop());
  await engine.start();
  return engine;
}

async function layOut(options: EngineOptions): Promise<void> {
  await writeNames(options);
  for (const [path, text] of Object.entries(files)) {
    const file = join(options.nodeRoot, 'etc/containers', path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  // It makes neither the directory of its socket nor the one that layers are fetched to.
  for (const path of ['run/podman', 'var/tmp', 'var/lib/podman'])
    await mkdir(join(options.nodeRoot, path), { recursive: true });
}

const files = {
  // Locks in shared memory would be the machine's.
  'containers.conf': `[engine]
lock_type = "file"
events_logger = "none"
cgroup_manager = "cgroupfs"
`,
  // vfs works on every file system.
  'storage.conf': `[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
`,
  'registries.conf': `[[registry]]
location = "127.0.0.1"
insecure = true
`,
  'policy.json': '{ "default": [{ "type": "insecureAcceptAnything" }] }\n',
};
