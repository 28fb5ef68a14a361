import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { cleanUp } from './cleanup.ts';
import { type SandboxNode, type SandboxNodeOptions, startSandboxNode } from './sandbox-node.ts';

/** A directory that is there for one test and gone after it, also if the test fails. */
export async function temporaryDirectory(test: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pullready-test-'));
  cleanUp(test, () => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A sandbox node for one test, in a directory of its own; both are gone after it, also if the test fails. */
export async function temporaryNode(
  test: TestContext,
  options: Omit<SandboxNodeOptions, 'directory'>,
): Promise<SandboxNode> {
  const node = await startSandboxNode({ directory: await temporaryDirectory(test), ...options });
  cleanUp(test, () => node.stop());
  return node;
}
