import type { Runtime } from '../runtime.ts';
import type { DockerClient } from './docker-client.ts';

/**
 * Listens to the events of images that are deleted, and returns how to hear of them. They are the connection's lifeline,
 * too: they end when the engine does, and then the connection is closed.
 */
export async function followEvents(
  client: DockerClient,
  signal: AbortSignal,
): Promise<NonNullable<Runtime['watchDeletions']>> {
  const filters = JSON.stringify({ type: ['image'], event: ['delete', 'untag'] });
  const events = await openEvents(client, filters, signal);
  const listeners = new Set<() => void>();
  void hearAll(events, listeners).then(() => client.close('the connection was lost'));
  return (onDelete, signal) => watchDeletions(client, listeners, onDelete, signal);
}

/** `signal` bounds the opening alone. */
async function openEvents(client: DockerClient, filters: string, signal: AbortSignal) {
  const opening = new AbortController();
  const abort = () => opening.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await client.listen({ path: '/events', query: { filters } }, opening.signal);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function hearAll(events: AsyncIterable<unknown>, listeners: ReadonlySet<() => void>): Promise<void> {
  try {
    for await (const _event of events) for (const tell of listeners) tell();
  } catch {
    // However they end, it is the end.
  }
}

async function watchDeletions(
  { closed }: DockerClient,
  listeners: Set<() => void>,
  onDelete: () => void,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const listener = () => onDelete();
  listeners.add(listener);
  const ended = Promise.withResolvers<void>();
  const end = () => ended.resolve();
  signal.addEventListener('abort', end, { once: true });
  void closed.then(reason => ended.reject(new Error(reason)));
  try {
    await ended.promise;
  } finally {
    signal.removeEventListener('abort', end);
    listeners.delete(listener);
  }
}
