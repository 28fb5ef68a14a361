import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';

/**
 * Installs Debian packages for their programs alone, as root: their system services are neither started nor enabled.
 * apt's output goes to ours. Rejects with what to do if apt fails.
 */
export async function installDebianPackages(packages: readonly string[]): Promise<void> {
  const ignore = () => undefined;
  // Ctrl-C reaches apt as well, and ends it; what was changed for it must be undone all the same.
  process.on('SIGINT', ignore);
  const allowServices = await forbidServices();
  try {
    if (!(await succeeds('apt-cache', ['show', '--quiet=2', ...packages], 'ignore'))) await updateLists();
    if (!(await install(packages))) {
      // The lists may name versions that are no longer there.
      await updateLists();
      if (!(await install(packages)))
        throw new Error(
          `apt-get could not install ${packages.join(', ')}: see its output above, and try it by hand`,
        );
    }
  } finally {
    await allowServices();
    process.off('SIGINT', ignore);
  }
  await disableServices(packages);
}

const policyFile = '/usr/sbin/policy-rc.d';
const policy = `#!/bin/sh
# The pullready sandbox is installing packages whose services must not be started.
exit 101
`;

/** Packages ask this program whether they may start their services; 101 is no. Returns how to undo it. */
async function forbidServices(): Promise<() => Promise<void>> {
  const existing = await readFile(policyFile, 'utf8').catch(() => undefined);
  if (existing === undefined) {
    await writeFile(policyFile, policy, { flag: 'wx' });
    await chmod(policyFile, 0o755);
  }
  // Somebody else's policy is theirs to keep; one of ours was left behind if this was killed.
  return existing === undefined || existing === policy
    ? () => rm(policyFile, { force: true })
    : () => Promise.resolve();
}

/** The systemd units that packages bring. */
const units: Readonly<Record<string, readonly string[]>> = {
  containerd: ['containerd.service'],
  'docker-registry': ['docker-registry.service'],
  'docker.io': ['docker.service', 'docker.socket'], // the socket starts the service
  podman: ['podman.service', 'podman.socket', 'podman-restart.service', 'podman-auto-update.timer'],
};

/** Packages enable their services for the next start of the machine. */
async function disableServices(packages: readonly string[]): Promise<void> {
  const services = packages.flatMap(name => units[name] ?? []);
  if (services.length === 0 || !(await succeeds('systemctl', ['--version'], 'ignore'))) return;
  // Also stops them, if somebody else's policy let them start. Fails, and need not do more, where systemd does not run.
  await succeeds('systemctl', ['disable', '--now', '--quiet', ...services], 'ignore');
}

async function updateLists(): Promise<void> {
  console.log('Updating the lists of Debian packages (apt-get update)');
  await succeeds('apt-get', ['update', '--quiet=2'], 'inherit');
}

function install(packages: readonly string[]): Promise<boolean> {
  console.log(`Running apt-get install ${packages.join(' ')} (no service is started or enabled)`);
  // Who has containerd or docker from elsewhere keeps it: apt-get rather fails than removes what is in conflict.
  const calm = ['--yes', '--no-remove', '--quiet=2', '--option=Dpkg::Use-Pty=0'];
  return succeeds('apt-get', ['install', ...calm, '--no-install-recommends', ...packages], 'inherit');
}

async function succeeds(
  file: string,
  args: readonly string[],
  output: 'inherit' | 'ignore',
): Promise<boolean> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const child = spawn(file, args, { stdio: ['ignore', output, output], env });
  const [status] = await once(child, 'exit').catch(() => [1]);
  return status === 0;
}
