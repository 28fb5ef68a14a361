import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { type Config, parseConfig } from '../../agent/config.ts';
import { readKeyring } from '../../agent/docker-config/keyring.ts';
import { ImageFlow, type ImageFlowOptions } from '../../agent/images/image-flow.ts';
import type { ImageState } from '../../agent/images/image-state.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { dockerConfigJson } from '../sandbox/docker-config.ts';
import type { SandboxNode } from '../sandbox/sandbox-node.ts';
import { temporaryNode } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';

/** A node whose registry knows `team-a` and `team-b`. */
export function startNode(t: TestContext): Promise<SandboxNode> {
  return temporaryNode(t, {
    users: [
      { name: 'team-a', password: 'a-word', repositories: ['team-a/'] },
      { name: 'team-b', password: 'b-word', repositories: ['*'] },
    ],
  });
}

/** A config of these images, with quick retries and no disk guard to speak of. */
export function configOf(
  images: readonly unknown[],
  pulls: object = {},
  keepFree: string | number = 1,
): Config {
  const parsed = parseConfig(
    JSON.stringify({
      images,
      pulls: { retry: { initial: '100ms', max: '300ms' }, ...pulls },
      disk: { keepFree },
    }),
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.config;
}

/** A flow that runs on the node until the test ends. */
export function startFlow(
  t: TestContext,
  node: Pick<SandboxNode, 'hostRoot'> & { readonly registry: { readonly host: string } },
  runtime = 'auto',
  more: Partial<ImageFlowOptions> = {},
) {
  const changes: ImageState[] = [];
  const flow = new ImageFlow({
    runtime,
    hostRoot: node.hostRoot,
    node: { arch: 'amd64', os: 'linux', nodeName: 'n' },
    onImage: image => changes.push(image),
    log: pino({ enabled: false }),
    ...more,
  });
  const stop = new AbortController();
  const running = flow.run(stop.signal);
  cleanUp(t, async () => {
    stop.abort();
    await running;
  });
  const login = (password = 'a-word', user = 'team-a') =>
    flow.setKeyring(readKeyring(dockerConfigJson({ registry: node.registry.host, user, password })));
  const image = (number = 0) => flow.state.images[number];
  const until = (what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 15_000) =>
    waitUntil(condition, { what, timeoutMs }).catch(cause => {
      throw new Error(JSON.stringify(flow.state), { cause });
    });
  return { flow, changes, login, image, until };
}
