/** What a failure tells: what was tried on what, what went wrong, what to do about it. */
export type FailureFacts = {
  /** What was tried and on what: `writing /root/.docker/config.json`. */
  readonly tried: string;
  readonly problem: string;
  readonly advice?: string;
  readonly cause?: unknown;
};

/** An error made for the person who runs the agent. Its message is a full sentence; the foreign error is its cause. */
export class Failure extends Error {
  override readonly name = 'Failure';
  /** The problem alone, for a list of what went wrong in several places. */
  readonly problem: string;

  constructor({ tried, problem, advice, cause }: FailureFacts) {
    super(`${tried}: ${problem}${advice ? `; ${advice}` : ''}`, { cause });
    this.problem = problem;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The problem alone of a Failure, the message of anything else. */
export function problemOf(error: unknown): string {
  return error instanceof Failure ? error.problem : messageOf(error);
}

/** The code of an error of Node.js or the system (`ENOENT`), if it has one. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
