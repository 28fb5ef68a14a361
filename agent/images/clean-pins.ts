import { messageOf } from '../base/failure.ts';
import { findRuntime } from '../runtimes/find-runtime.ts';

/** What became of our pins. */
export type CleanedPins = {
  /** How many images were unpinned. */
  readonly unpinned: number;
  /** Why some of ours may be left; null if none is. */
  readonly problem: string | null;
};

/** Takes our pins off all images of the runtime that `uri` names; see `findRuntime`. With `none` there are none. */
export async function cleanPins(uri: string, hostRoot: string, signal: AbortSignal): Promise<CleanedPins> {
  let unpinned = 0;
  if (uri === 'none') return { unpinned, problem: null };
  try {
    const runtime = await findRuntime(uri, hostRoot, signal);
    try {
      const { ours = [], lost = [] } = (await runtime.pins?.list(signal)) ?? {};
      for (const id of ours) {
        await runtime.pins?.unpin(id, signal);
        unpinned++;
      }
      for (const id of lost) await runtime.pins?.unpin(id, signal);
      return { unpinned, problem: null };
    } finally {
      runtime.close();
    }
  } catch (error) {
    return { unpinned, problem: messageOf(error) };
  }
}
