import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type AgentProcess, flagsFor, startAgent } from './agent-process.ts';
import { dockerConfigJson } from './sandbox/docker-config.ts';
import { updateKubeletVolume } from './sandbox/kubelet-volume.ts';
import { temporaryDirectory } from './sandbox/temporary.ts';
import { waitUntil } from './sandbox/wait-until.ts';

/** The kubelet's file on the node. */
export const kubeletFile = '/var/lib/kubelet/config.json';

/** The files of a node without a container runtime, with a Secret `team-a` for `r.io`. */
export type CredentialNode = {
  readonly hostRoot: string;
  readonly stateDirectory: string;
  /** The flags of a command on it, such as `clean`. */
  flags(command: string, ...more: readonly string[]): readonly string[];
  startAgent(): Promise<AgentProcess>;
  /** Writes the password into the Secret, as the kubelet does. */
  rotate(password: string): Promise<unknown>;
  /** The password in the kubelet's file; undefined if there is none. */
  password(): Promise<string | undefined>;
  untilPassword(password: string, timeoutMs?: number): Promise<void>;
};

/** Makes such a node; it is gone after the test, and so are its agents. */
export async function credentialNode(t: TestContext): Promise<CredentialNode> {
  const directory = await temporaryDirectory(t);
  const hostRoot = join(directory, 'host');
  const secretsDir = join(directory, 'secrets');
  const configFile = join(directory, 'config.yaml');
  await mkdir(hostRoot);
  await writeFile(configFile, '');
  const flags = (command: string, ...more: readonly string[]) => [
    command,
    ...flagsFor({ hostRoot, secretsDir, configFile }, '--runtime', 'none', ...more).slice(1),
  ];
  const password = async () => {
    const text = await readFile(join(hostRoot, kubeletFile), 'utf8').catch(() => '{}');
    const auth: string | undefined = JSON.parse(text).auths?.['r.io']?.auth;
    return auth === undefined ? undefined : Buffer.from(auth, 'base64').toString().slice(2);
  };
  const node: CredentialNode = {
    hostRoot,
    stateDirectory: join(hostRoot, 'var/lib/pullready'),
    flags,
    startAgent: () => startAgent(t, flags('run')),
    rotate: value =>
      updateKubeletVolume(join(secretsDir, 'team-a'), {
        '.dockerconfigjson': dockerConfigJson({ registry: 'r.io', user: 'u', password: value }),
      }),
    password,
    untilPassword: (wanted, timeoutMs = 5_000) =>
      waitUntil(async () => (await password()) === wanted, { what: `the password ${wanted}`, timeoutMs }),
  };
  await node.rotate('one');
  return node;
}
