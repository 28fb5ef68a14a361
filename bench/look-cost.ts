import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Program } from '../test/sandbox/program.ts';
import { waitUntil } from '../test/sandbox/wait-until.ts';
import type { BenchNode } from './bench-node.ts';
import { cpuTime } from './cpu-time.ts';
import { setDocument } from './secret.ts';

/** How long the agent is measured at least after it has told of a document, in milliseconds. */
const shortestRest = 1_000;

/** The agent that is measured, and where it works. */
export type Measured = { readonly agent: Program; readonly node: BenchNode; readonly signal: AbortSignal };

/**
 * Swaps one document after the other in and returns the milliseconds of CPU that the agent takes for each of them: all
 * that it does until it has told of it and for a while after, without what it does anyhow in as much time.
 */
export async function costsOfLooks(
  measured: Measured,
  documents: readonly string[],
): Promise<readonly number[]> {
  const costs: number[] = [];
  for (const document of documents) costs.push(await costOfLook(measured, document));
  return costs;
}

async function costOfLook({ agent, node, signal }: Measured, document: string): Promise<number> {
  const logged = await sizeOnceSilent(agent.logFile);
  const start = await readClocks(agent.pid);
  await setDocument(node.volume, document);
  await waitUntil(async () => (await stat(agent.logFile)).size > logged, {
    what: 'the agent to tell of a document in its log',
    timeoutMs: 60_000,
  });
  // What follows, such as a look at what it has written itself, takes no longer than what came before.
  const restMs = Math.max(shortestRest, performance.now() - start.wall);
  await delay(restMs, undefined, { signal });
  const end = await readClocks(agent.pid);
  await delay(shortestRest, undefined, { signal });
  const later = await readClocks(agent.pid);
  const idle = (later.cpu - end.cpu) / (later.wall - end.wall);
  return Math.max(0, end.cpu - start.cpu - idle * (end.wall - start.wall));
}

/** The size of the log when nothing has come to it for a while, so that what comes next is about the next document. */
async function sizeOnceSilent(logFile: string): Promise<number> {
  let size = -1;
  let since = performance.now();
  const isSilent = async () => {
    const now = (await stat(logFile)).size;
    if (now !== size) [size, since] = [now, performance.now()];
    return performance.now() - since > 500;
  };
  await waitUntil(isSilent, { what: 'the agent to have told all of a document', timeoutMs: 60_000 });
  return size;
}

async function readClocks(pid: number): Promise<{ readonly cpu: number; readonly wall: number }> {
  return { cpu: await cpuTime(pid), wall: performance.now() };
}
