import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type SandboxNode, type SandboxNodeOptions, startSandboxNode } from './sandbox-node.ts';

/**
 * A directory that is there for one test and gone after it, also if the test fails.
 *
 * @param stop ends what works in the directory, before it is removed; hooks run in the order of their registration, so
 * a hook of the test itself would come too late
 */
export async function temporaryDirectory(test: TestContext, stop?: () => Promise<void>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pullready-test-'));
  test.after(async () => {
    try {
      await stop?.();
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
  return directory;
}

/** A sandbox node for one test, in a directory of its own; both are gone after it, also if the test fails. */
export async function temporaryNode(
  test: TestContext,
  options: Omit<SandboxNodeOptions, 'directory'>,
): Promise<SandboxNode> {
  let node: SandboxNode | undefined;
  const directory = await temporaryDirectory(test, async () => node?.stop());
  node = await startSandboxNode({ directory, ...options });
  return node;
}
