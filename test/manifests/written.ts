import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { dockerConfigJson } from '../sandbox/docker-config.ts';
import type { SandboxNode } from '../sandbox/sandbox-node.ts';

const [name, password] = ['robot', 's3cret'];

/** Who may pull in the tests of the manifests. */
export const users = [{ name, password, repositories: ['*'] }];

/** The document of the Secret for the node's registry. */
export function secretFor({ registry }: SandboxNode): string {
  return dockerConfigJson({ registry: registry.host, user: name, password });
}

/** The credential of the Secret, and nothing else, is in this file of the node, for root alone. */
export async function assertWritten(node: SandboxNode, file: string): Promise<void> {
  const path = join(node.hostRoot, file);
  const auth = Buffer.from(`${name}:${password}`).toString('base64');
  assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), { auths: { [node.registry.host]: { auth } } });
  const { mode, uid } = await stat(path);
  assert.deepEqual([mode & 0o777, uid], [0o600, 0]);
}
