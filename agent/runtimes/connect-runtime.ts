import { Failure, problemOf } from '../base/failure.ts';
import { connectCri } from './cri/cri-runtime.ts';
import { connectDocker } from './docker/docker-runtime.ts';
import type { Runtime } from './runtime.ts';

/**
 * Connects to the runtime at `socketPath`, whatever it speaks: a path can be any, so that is found out by asking. Throws
 * one Failure that says what was met.
 */
export async function connectRuntime(
  socketPath: string,
  endpoint: string,
  signal: AbortSignal,
): Promise<Runtime> {
  const notCri = await connectCri(socketPath, endpoint, signal).catch(error => ({ error }));
  if (!('error' in notCri)) return notCri;
  const notDocker = await connectDocker(socketPath, endpoint, signal).catch(error => ({ error }));
  if (!('error' in notDocker)) return notDocker;
  const [cri, docker] = [problemOf(notCri.error), problemOf(notDocker.error)];
  // Nothing listens there, or nothing answers: that has nothing to do with what was asked.
  if (cri === docker) throw notCri.error;
  throw new Failure({
    tried: `connecting to ${socketPath}`,
    problem: `it can be used neither over CRI (${cri}) nor as docker (${docker})`,
    advice: 'use the socket of a runtime that speaks CRI v1, or of docker or podman',
    cause: notDocker.error,
  });
}
