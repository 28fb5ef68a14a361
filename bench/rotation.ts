import { closeSync, fsyncSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { BenchNode } from './bench-node.ts';
import { type SecretDocument, setDocument } from './secret.ts';

/** The pause between two looks, in milliseconds; what a look takes comes to it. */
const lookEvery = 0.2;

/** How long a rotation may take, in milliseconds. */
const timeout = 20_000;

/**
 * Swaps the document in and returns the milliseconds from the swap of `..data` until every target says what it says and
 * is durable. All is seen from outside, by looks that are a fraction of a millisecond apart.
 */
export async function timeRotation(
  node: Pick<BenchNode, 'volume' | 'targets'>,
  document: SecretDocument,
): Promise<number> {
  const before = generationOf(node.volume);
  const [milliseconds] = await Promise.all([
    observe(node, before, document.auth),
    setDocument(node.volume, document.text),
  ]);
  return milliseconds;
}

async function observe(
  { volume, targets }: Pick<BenchNode, 'volume' | 'targets'>,
  before: string,
  auth: string,
): Promise<number> {
  const deadline = performance.now() + timeout;
  let swappedAt = performance.now();
  for (;;) {
    const now = performance.now();
    // The last moment at which the old one was there: the time is rather too long than too short.
    if (generationOf(volume) === before) swappedAt = now;
    else if (targets.every(target => says(target, auth))) break;
    if (now > deadline)
      throw new Error(`${targets.join(', ')} did not follow ${volume} within ${timeout} ms`);
    await pause();
  }
  // The content was durable before it got its name. Durable names are what a sync of the directories returns with,
  // whoever else has asked for one.
  for (const target of targets) syncDirectory(dirname(target));
  return performance.now() - swappedAt;
}

const neverWoken = new Int32Array(new SharedArrayBuffer(4));

/** A timer of the event loop is a millisecond at least. This one sleeps, and then lets the event loop go on. */
async function pause(): Promise<void> {
  Atomics.wait(neverWoken, 0, 0, lookEvery);
  await setImmediate();
}

function generationOf(volume: string): string {
  return readlinkSync(join(volume, '..data'));
}

function says(target: string, auth: string): boolean {
  try {
    return readFileSync(target, 'latin1').includes(auth);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
