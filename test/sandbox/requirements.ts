import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { installDebianPackages } from './debian-packages.ts';

/** A program that must be on the PATH, what for, and the Debian package that has it. */
export type Requirement = {
  readonly program: string;
  readonly debianPackage: string;
  readonly purpose: string;
};

/** What the sandbox runs. */
export const sandboxRequirements: readonly Requirement[] = [
  { program: 'containerd', debianPackage: 'containerd', purpose: "the node's container runtime" },
  { program: 'ctr', debianPackage: 'containerd', purpose: 'looking into containerd' },
  { program: 'runc', debianPackage: 'runc', purpose: 'running containers' },
  { program: 'docker-registry', debianPackage: 'docker-registry', purpose: 'the registry to pull from' },
  { program: 'openssl', debianPackage: 'openssl', purpose: "the certificate of the registry's tokens" },
  { program: 'setpriv', debianPackage: 'util-linux', purpose: 'ending programs with the sandbox' },
  { program: 'unshare', debianPackage: 'util-linux', purpose: 'a mount namespace for containerd' },
  { program: 'mount', debianPackage: 'mount', purpose: "the node's own directories in that namespace" },
];

/** What the sandbox runs besides if it has docker. */
export const dockerRequirements: readonly Requirement[] = [
  { program: 'dockerd', debianPackage: 'docker.io', purpose: "docker's engine" },
  {
    program: 'docker',
    debianPackage: 'docker.io',
    purpose: 'looking into docker, pulling with what was written',
  },
];

/** What the tests run: the sandbox, what renders the manifests, what slows a write down, and what reads the result. */
export const testRequirements: readonly Requirement[] = [
  ...sandboxRequirements,
  ...dockerRequirements,
  { program: 'kubectl', debianPackage: 'kubernetes-client', purpose: 'rendering the manifests' },
  { program: 'strace', debianPackage: 'strace', purpose: 'slow and failing system calls' },
  { program: 'mkfs.ext4', debianPackage: 'e2fsprogs', purpose: 'a disk that is soon full' },
  { program: 'skopeo', debianPackage: 'skopeo', purpose: 'pulling with what was written' },
  { program: 'podman', debianPackage: 'podman', purpose: "another engine with docker's API" },
  {
    program: 'docker-credential-ecr-login',
    debianPackage: 'amazon-ecr-credential-helper',
    purpose: 'a real credential helper',
  },
  { program: 'inotifywait', debianPackage: 'inotify-tools', purpose: 'the bare loop beside the agent' },
];

/** The machine as far as it matters here; the tests describe other ones. */
export type Machine = {
  readonly path: string;
  readonly isRoot: boolean;
};

/**
 * Makes sure that every program is there. What is missing is installed if this is Debian and we are root; otherwise one
 * error names all of it and how to get it, and that root is needed, if it is.
 */
export async function ensureRequirements(
  requirements: readonly Requirement[],
  machine: Machine = thisMachine(),
): Promise<void> {
  let missing = await findMissing(requirements, machine.path);
  if (missing.length > 0 && machine.isRoot && (await findProgram('apt-get', machine.path))) {
    console.log(`Installing Debian packages, because programs are missing:\n${list(missing)}`);
    await installDebianPackages(packagesOf(missing));
    missing = await findMissing(requirements, machine.path);
  }
  const complaint = explain(missing, machine.isRoot);
  if (complaint !== undefined) throw new Error(complaint);
}

/** What a person must do, or undefined if nothing. */
function explain(missing: readonly Requirement[], isRoot: boolean): string | undefined {
  const complaints: string[] = [];
  if (missing.length > 0)
    complaints.push(
      `These programs are missing on the PATH:\n${list(missing)}`,
      `On Debian, root gets them with: apt-get install --no-install-recommends ${packagesOf(missing).join(' ')}`,
      'Elsewhere, put programs of these names on the PATH.',
    );
  if (!isRoot)
    complaints.push(
      'Root is needed too, because containerd mounts the layers that it unpacks: run the same command as root.',
    );
  return complaints.length > 0 ? complaints.join('\n') : undefined;
}

function list(missing: readonly Requirement[]): string {
  return missing
    .map(
      ({ program, purpose, debianPackage }) => `  ${program}: ${purpose} (Debian package ${debianPackage})`,
    )
    .join('\n');
}

function packagesOf(missing: readonly Requirement[]): string[] {
  return [...new Set(missing.map(({ debianPackage }) => debianPackage))];
}

async function findMissing(requirements: readonly Requirement[], path: string): Promise<Requirement[]> {
  const found = await Promise.all(requirements.map(({ program }) => findProgram(program, path)));
  return requirements.filter((_, index) => found[index] === undefined);
}

async function findProgram(program: string, path: string): Promise<string | undefined> {
  for (const directory of path.split(delimiter).filter(Boolean)) {
    const file = join(directory, program);
    const isProgram = await access(file, constants.X_OK).then(
      async () => (await stat(file)).isFile(),
      () => false,
    );
    if (isProgram) return file;
  }
  return undefined;
}

function thisMachine(): Machine {
  return { path: searchPath(), isRoot: process.getuid?.() === 0 };
}

/** The PATH and where Debian keeps programs of root: the PATH of a plain `su` does not lead there. */
export function searchPath(): string {
  return [process.env.PATH ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin'].join(delimiter);
}

if (import.meta.main) {
  process.env.PATH = searchPath();
  try {
    await ensureRequirements(testRequirements);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
