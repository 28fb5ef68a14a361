import { hostname } from 'node:os';
import { join } from 'node:path';
import { messageOf } from './base/failure.ts';
import type { Logger } from './base/log.ts';
import { type ConfigState, followConfig } from './config-file.ts';
import { CredentialFlow, type CredentialState } from './credentials/credential-flow.ts';
import { ImageFlow } from './images/image-flow.ts';
import { imageArchitecture } from './images/wanted-images.ts';
import type { Settings } from './settings.ts';
import type { Board } from './status/board.ts';
import { Journal } from './status/journal.ts';
import { Metrics } from './status/metrics.ts';
import { toStatus } from './status/status.ts';
import { startStatusServer } from './status/status-server.ts';
import { version } from './version.ts';

/** What one agent runs with. */
export type AgentOptions = {
  readonly settings: Settings;
  readonly log: Logger;
  /** The node's name; without it, that of the machine. */
  readonly nodeName: string | undefined;
  /** Called once, at the start, with what tells how the node stands at any later time. */
  readonly onStart?: (board: () => Board) => void;
};

/**
 * Runs the agent of one node until `signal` aborts: the config, the flow from Secrets to docker config files and the
 * flow from the image list to the runtime, side by side. When it resolves, the write that was under way is finished,
 * every pull is cancelled, and nothing of it runs any more. The files on the node stay.
 */
export async function runAgent(options: AgentOptions, signal: AbortSignal): Promise<void> {
  const { settings, log, nodeName = hostname() } = options;
  const hostRoot = settings['host-root'];
  let config: ConfigState | undefined;
  let credentials: CredentialState | undefined;

  const board = (): Board => ({ version, node: nodeName, config, credentials, images: imageFlow.state });
  const status = () => toStatus(board());
  const metrics = new Metrics(status);
  const journal = new Journal(log, metrics);
  let readinessDue = false;
  // Once for all images that change in one go: the whole status is made for it.
  const tellReadiness = () => {
    if (readinessDue) return;
    readinessDue = true;
    setImmediate(() => {
      readinessDue = false;
      journal.readiness(status());
    });
  };
  const imageFlow = new ImageFlow({
    runtime: settings.runtime,
    hostRoot,
    node: { arch: imageArchitecture(process.arch), os: process.platform, nodeName },
    log: log.child({ component: 'images' }),
    onImage: image => {
      journal.image(image);
      tellReadiness();
    },
  });
  const credentialFlow = new CredentialFlow({
    secrets: settings.secrets,
    hostRoot,
    stateDirectory: join(hostRoot, settings['state-dir']),
    targets: () => config?.config?.credentials.targets,
    log: log.child({ component: 'credentials' }),
    report: state => {
      credentials = state;
      journal.credentials(state);
      imageFlow.setKeyring(state.keyring);
      tellReadiness();
    },
  });
  const onConfig = (state: ConfigState) => {
    config = state;
    journal.config(state);
    if (state.config) imageFlow.setConfig(state.config);
    credentialFlow.lookAgain();
  };
  options.onStart?.(board);

  const server =
    settings.listen === 'none'
      ? undefined
      : await startStatusServer({ listen: settings.listen, status, metrics });
  if (server) log.info(`status at ${server.url}`);
  try {
    await allOrNothing(signal, [
      running => followConfig({ file: settings.config, report: onConfig, log }, running),
      running => credentialFlow.run(running),
      running => imageFlow.run(running),
    ]);
  } finally {
    await server?.close();
  }
}

/** Runs all parts until `signal` aborts; a part that fails ends the others, and its error is thrown after they ended. */
async function allOrNothing(
  signal: AbortSignal,
  parts: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const failed = new AbortController();
  const running = AbortSignal.any([signal, failed.signal]);
  const results = await Promise.allSettled(
    parts.map(async part => {
      try {
        await part(running);
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    }),
  );
  const reasons = results.flatMap(result => (result.status === 'rejected' ? [result.reason] : []));
  if (reasons.length > 0) throw new Error(reasons.map(messageOf).join('; '), { cause: reasons[0] });
}
