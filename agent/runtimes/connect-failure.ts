import { codeOf, Failure } from '../base/failure.ts';
import { fileFailure } from '../base/file-failure.ts';

/** Says why there is no connection to a Unix socket; `tried` names its path. */
export function connectFailure(tried: string, error: unknown): Failure {
  const code = codeOf(error);
  if (code === 'EINVAL') {
    const problem = 'its path is too long for a socket (107 bytes)';
    return new Failure({ tried, problem, advice: 'use a shorter path, for example of a link', cause: error });
  }
  if (code === 'ECONNREFUSED' || code === 'ENOTSOCK') {
    const problem = 'nothing listens there';
    const advice = 'check that the path is a socket and the runtime is up';
    return new Failure({ tried, problem, advice, cause: error });
  }
  return fileFailure(tried, error);
}
