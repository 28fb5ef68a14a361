import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { Content } from '../gen/content_pb.ts';
import type { Pins } from '../runtime.ts';
import { watchDeletions } from './containerd-events.ts';
import { kubernetesNamespace as headers } from './containerd-namespace.ts';
import { ContainerdPins } from './containerd-pins.ts';
import { ContentProgress } from './content-progress.ts';

/** What containerd's own API can do beside CRI. */
export type Containerd = {
  readonly content: ContentProgress;
  readonly pins: Pins;
  watchDeletions(this: void, onDelete: () => void, signal: AbortSignal): Promise<void>;
};

/**
 * Asks whether containerd's own API is there: what stands before it may pass on CRI alone, together with its name.
 * undefined if there is none. That it fails otherwise, say because it is only starting, does not mean that; who uses it
 * can do without until it works. Takes at most 5 seconds.
 */
export async function openContainerd(
  transport: Transport,
  signal: AbortSignal,
): Promise<Containerd | undefined> {
  try {
    await createClient(Content, transport).listStatuses({}, { headers, signal, timeoutMs: 5_000 });
  } catch (error) {
    if (ConnectError.from(error).code === Code.Unimplemented) return undefined;
  }
  return {
    content: new ContentProgress(transport),
    pins: new ContainerdPins(transport),
    watchDeletions: (onDelete, signal) => watchDeletions(transport, onDelete, signal),
  };
}
