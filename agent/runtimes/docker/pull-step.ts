import { z } from 'zod';

const bytes = z.number().nonnegative().optional();

const step = z.object({
  status: z.string().optional(),
  id: z.string().optional(),
  progressDetail: z.object({ current: bytes, total: bytes }).nullish(),
  errorDetail: z.object({ message: z.string().optional() }).nullish(),
  error: z.string().optional(),
});

/** One object of the stream in which docker tells how a pull goes. */
export type PullStep = {
  /** What happens, or with `id`, what happens to that layer. */
  readonly status?: string | undefined;
  readonly id?: string | undefined;
  readonly progressDetail?: { readonly current?: number | undefined; readonly total?: number | undefined };
  /** Why the pull has failed. */
  readonly error?: string | undefined;
};

/** Reads one object of the stream. Throws if it is none that docker sends. */
export function readPullStep(value: unknown): PullStep {
  const parsed = step.safeParse(value);
  if (!parsed.success) throw new Error('it tells what is no step of a pull', { cause: parsed.error });
  const { errorDetail, error, progressDetail, ...rest } = parsed.data;
  // The second is an older form of the first; either may be missing or empty.
  const problem = errorDetail?.message || error || (errorDetail ? 'it does not say why' : undefined);
  return { ...rest, ...(progressDetail && { progressDetail }), error: problem };
}
