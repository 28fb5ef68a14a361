import { createClient, type Transport } from '@connectrpc/connect';
import { Events } from '../gen/events_pb.ts';
import { kubernetesNamespace as headers } from './containerd-namespace.ts';

/**
 * Calls `onDelete` whenever an image that Kubernetes sees is deleted, by whomever, until `signal` aborts. Rejects when
 * the stream of events ends before, or containerd has none.
 */
export async function watchDeletions(
  transport: Transport,
  onDelete: () => void,
  signal: AbortSignal,
): Promise<void> {
  const filters = ['topic=="/images/delete",namespace=="k8s.io"'];
  const events = createClient(Events, transport).subscribe({ filters }, { headers, signal });
  for await (const _ of events) onDelete();
}
