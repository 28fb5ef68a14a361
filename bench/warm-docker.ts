import { execFile } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { dockerConfigJson } from '../test/sandbox/docker-config.ts';
import { createDockerEngine, type EngineOptions } from '../test/sandbox/docker-engine.ts';
import { waitUntil } from '../test/sandbox/wait-until.ts';
import type { WarmRuntime } from './warm-runtime.ts';

const run = promisify(execFile);

/** dockerd with the storage that it chooses itself, and further settings; `docker pull` in the script. */
export function createWarmDocker(options: EngineOptions, settings: object = {}): WarmRuntime {
  const engine = createDockerEngine({ ...options, settings: { 'storage-driver': '', ...settings } });
  const docker = ['docker', '--host', engine.address] as const;
  const list = async (...args: readonly string[]) => {
    const { stdout } = await run('docker', [...docker.slice(1), ...args], { timeout: 60_000 });
    return stdout.split('\n').filter(line => line !== '');
  };
  return {
    ...engine,
    name: 'dockerd',
    script: 'docker pull',
    async pullCommand(login) {
      const directory = join(options.nodeRoot, 'docker-login');
      await mkdir(directory, { recursive: true });
      await writeFile(join(directory, 'config.json'), dockerConfigJson(login));
      return [...docker, '--config', directory, 'pull', '--quiet'];
    },
    async removeImages() {
      const ids = await list('images', '--quiet', '--no-trunc');
      if (ids.length > 0) await list('rmi', '--force', ...new Set(ids));
      await waitUntil(async () => (await layersOf(options)).length === 0, {
        what: 'dockerd to have let go of the layers of the images',
        timeoutMs: 30_000,
        intervalMs: 200,
      });
    },
  };
}

/** What dockerd has unpacked, whatever the storage it has chosen. */
async function layersOf({ nodeRoot }: EngineOptions): Promise<readonly string[]> {
  const directory = join(nodeRoot, 'var/lib/docker/image');
  const paths = await readdir(directory, { recursive: true });
  return paths.filter(path => /^[^/]+\/layerdb\/sha256\/[^/]+$/.test(path));
}
