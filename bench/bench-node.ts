import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Program, startProgram, waitUntilReady } from '../test/sandbox/program.ts';
import { setSecret } from './secret.ts';

const agent = fileURLToPath(new URL('../agent/main.ts', import.meta.url));
const bareLoop = fileURLToPath(new URL('bare-loop.sh', import.meta.url));

/** The files of a node: one mounted Secret, and the two docker config files that are to hold its credentials. */
export type BenchNode = {
  readonly directory: string;
  readonly hostRoot: string;
  /** The directory with all Secrets, and the volume of the one that is in it. */
  readonly secrets: string;
  readonly volume: string;
  readonly targets: readonly string[];
};

/** Makes a directory that stands in for a node, with a Secret of one entry. */
export async function makeNode(directory: string): Promise<BenchNode> {
  const hostRoot = join(directory, 'host');
  const secrets = join(directory, 'secrets');
  const targets = ['var/lib/kubelet/config.json', 'root/.docker/config.json'];
  const node = {
    directory,
    hostRoot,
    secrets,
    volume: join(secrets, 'team-a'),
    targets: targets.map(path => join(hostRoot, path)),
  };
  for (const target of node.targets) await mkdir(dirname(target), { recursive: true });
  // A config that names nothing: the two targets are the default.
  await writeFile(configOf(node), '');
  await setSecret(node.volume, 1);
  return node;
}

/** Starts the agent, from source, on this node; `through` is a command to run it under. Returns when the node is done. */
export async function startAgent(node: BenchNode, through: readonly string[] = []): Promise<Program> {
  const flags = ['--secrets', node.secrets, '--config', configOf(node), '--host-root', node.hostRoot];
  const command = [
    ...through,
    process.execPath,
    agent,
    'run',
    ...flags,
    '--runtime',
    'none',
    '--listen',
    'none',
  ];
  return start(node, 'agent', command, async () => node.targets.every(target => existsSync(target)));
}

/** Starts the bare loop, which only ever copies, on this node. */
export async function startBareLoop(node: BenchNode): Promise<Program> {
  const command = ['bash', bareLoop, node.volume, ...node.targets];
  return start(node, 'bare-loop', command, async logFile =>
    (await readFile(logFile, 'utf8')).includes('Watches established'),
  );
}

async function start(
  { directory }: BenchNode,
  name: string,
  [file = '', ...args]: readonly string[],
  isReady: (logFile: string) => Promise<boolean>,
): Promise<Program> {
  const logFile = join(directory, `${name}.log`);
  const program = await startProgram({ name, command: [file, ...args], directory, logFile });
  await waitUntilReady(program, () => isReady(logFile));
  return program;
}

function configOf({ directory }: BenchNode): string {
  return join(directory, 'config.yaml');
}
