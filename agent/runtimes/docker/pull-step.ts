import { z } from 'zod';
import { UnreadableAnswer } from './docker-answer.ts';

/** What decides whether the pull goes well is read strictly; what tells only how far it is may be anything. */
const step = z.object({
  status: z.string().nullish(),
  id: unknownUnless(z.string()),
  // Podman says -1 for a size that it does not know.
  progressDetail: unknownUnless(
    z.object({
      current: unknownUnless(z.int().nonnegative()),
      total: unknownUnless(z.int().nonnegative()),
    }),
  ),
  errorDetail: z.object({ message: z.string().nullish() }).nullish(),
  error: z.string().nullish(),
});

/** One object of the stream in which docker tells how a pull goes. */
export type PullStep = {
  /** What happens, or with `id`, what happens to that layer. */
  readonly status?: string | undefined;
  readonly id?: string | undefined;
  /** In bytes. */
  readonly progressDetail?:
    | { readonly current?: number | undefined; readonly total?: number | undefined }
    | undefined;
  /** Why the pull has failed. */
  readonly error?: string | undefined;
};

/** Reads one object of the stream. Throws an UnreadableAnswer if it is none that docker sends. */
export function readPullStep(value: unknown): PullStep {
  const parsed = step.safeParse(value);
  if (!parsed.success) throw new UnreadableAnswer('it is no step of a pull', { cause: parsed.error });
  const { status, id, progressDetail, errorDetail, error } = parsed.data;
  // The second is an older form of the first; either may be missing or empty.
  const problem = errorDetail?.message || error || (errorDetail ? 'it does not say why' : undefined);
  return { status: status ?? undefined, id, progressDetail, error: problem };
}

function unknownUnless<Value>(schema: z.ZodType<Value>) {
  return schema.optional().catch(undefined);
}
