import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import type { Liveness } from '../liveness.ts';

/** Tells the liveness of every call of a gRPC connection. */
export function livenessInterceptor(liveness: Liveness): Interceptor {
  return next => async request => {
    // A stream may be silent for as long as there is nothing to tell.
    if (request.stream) return next(request);
    const call = liveness.callBegins();
    try {
      const answer = await next(request);
      call.answered();
      return answer;
    } catch (error) {
      if (!endedHere(error)) call.answered();
      throw error;
    } finally {
      call.ended();
    }
  };
}

/** Whether the call was given up on this side, which says nothing of the other one. */
function endedHere(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return code === Code.Canceled || code === Code.DeadlineExceeded;
}
