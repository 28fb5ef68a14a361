import { isSilent, pullDueAt, type QueuedImage } from './queued-image.ts';

/**
 * The pull to be given up so that another registry gets its slot, where all slots are held: the last one that is under way,
 * if none of them has got anything for `silence` milliseconds, and an image of a registry that has no slot waits.
 */
export function findSilentPull(items: readonly QueuedImage[], silence: number): QueuedImage | undefined {
  const running = items.filter(({ cancel }) => cancel && !cancel.signal.aborted);
  const asked = new Set(running.map(registryOf));
  const now = performance.now();
  const isWaitedFor = items.some(item => !asked.has(registryOf(item)) && pullDueAt(item) <= now);
  return isWaitedFor && running.every(item => isSilent(item, silence)) ? running.at(-1) : undefined;
}

/** The registry that an image comes from. */
export function registryOf({ image }: QueuedImage): string {
  return image.wanted.reference.registry;
}
