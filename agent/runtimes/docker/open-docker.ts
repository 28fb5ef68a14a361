import { z } from 'zod';
import { Failure, messageOf } from '../../base/failure.ts';
import { connectFailure } from '../connect-failure.ts';
import { printable } from '../failure-text.ts';
import type { Runtime } from '../runtime.ts';
import { ifTold, readJson } from './docker-answer.ts';
import { createDockerClient, type DockerClient } from './docker-client.ts';
import { followEvents } from './docker-events.ts';
import { type DockerVersion, readDockerVersion } from './docker-version.ts';
import { holdLifeline } from './lifeline.ts';

/** A docker engine that has answered. */
export type DockerConnection = {
  readonly client: DockerClient;
  readonly version: DockerVersion;
  readonly watchDeletions: Runtime['watchDeletions'];
};

const connectMilliseconds = 5_000;

const podmanInfo = z.object({ host: z.object({ eventLogger: z.string() }) });

/**
 * Connects to the docker engine at `socketPath`, in at most 5 seconds, and agrees with it on a version of the API. Throws a
 * Failure that says what is there instead.
 */
export async function openDocker(socketPath: string, signal: AbortSignal): Promise<DockerConnection> {
  const tried = `connecting to ${socketPath}`;
  const client = await createDockerClient(socketPath);
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), connectMilliseconds);
  try {
    const bounded = AbortSignal.any([signal, deadline.signal]);
    const version = readDockerVersion(tried, await client.readFacts('/version', bounded));
    const keepsEvents = version.name !== 'podman' || (await podmanKeepsEvents(client, version, bounded));
    client.speak(version.apiVersion);
    // A proxy before the engine may refuse them; pulls can do without.
    const watchDeletions = keepsEvents ? await ifTold(followEvents(client, bounded)) : undefined;
    if (!watchDeletions) holdLifeline(client, socketPath);
    return { client, version, watchDeletions };
  } catch (error) {
    client.close();
    if (signal.aborted) throw new Failure({ tried, problem: 'it was interrupted', cause: error });
    throw openFailure(tried, error, deadline.signal.aborted);
  } finally {
    clearTimeout(timer);
  }
}

/** Podman can be told to keep no events, and then ends them at once. Only its own API tells that. */
async function podmanKeepsEvents(
  client: DockerClient,
  { version }: DockerVersion,
  signal: AbortSignal,
): Promise<boolean> {
  const answer = client.readFacts(`/v${version}/libpod/info`, signal);
  const info = await ifTold(answer.then(text => readJson(text, podmanInfo)));
  return info !== undefined && info.host.eventLogger !== 'none';
}

function openFailure(tried: string, error: unknown, isSilent: boolean): Failure {
  if (error instanceof Failure) return error;
  if (isSilent) {
    const problem = 'what listens there does not answer';
    return new Failure({ tried, problem, advice: 'look whether the runtime hangs', cause: error });
  }
  if (error instanceof Error && 'syscall' in error && error.syscall === 'connect')
    return connectFailure(tried, error);
  const problem = `what listens there does not answer as docker does (${printable(messageOf(error))})`;
  const advice = 'use the socket of docker or podman, such as /run/docker.sock';
  return new Failure({ tried, problem, advice, cause: error });
}
