import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { Failure, messageOf } from '../base/failure.ts';

/** An answer of the agent that works on this node. */
export type ControlAnswer = { readonly status: number; readonly body: string };

/**
 * Asks the agent that works on this node over its control socket and returns its answer. Throws a Failure if nobody
 * answers within `timeoutMs`.
 */
export async function askAgent(
  socketPath: string,
  {
    method,
    path,
    timeoutMs,
  }: { readonly method: 'GET' | 'POST'; readonly path: string; readonly timeoutMs: number },
): Promise<ControlAnswer> {
  try {
    return await new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(timeoutMs);
      const asked = request({ socketPath, method, path, signal }, response => {
        text(response).then(body => resolve({ status: response.statusCode ?? 0, body }), reject);
      });
      asked.on('error', reject);
      asked.end();
    });
  } catch (error) {
    throw new Failure({
      tried: `asking the agent of this node at ${socketPath}`,
      problem: messageOf(error),
      advice: 'see its log; if it hangs, end it and try again',
      cause: error,
    });
  }
}
