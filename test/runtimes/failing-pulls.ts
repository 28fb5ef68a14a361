import type { PullFailureKind } from '../../agent/runtimes/pull-failure.ts';
import { publishImage } from '../sandbox/images.ts';
import { freePort } from '../sandbox/link.ts';
import type { Registry } from '../sandbox/registry.ts';
import type { TestedRuntime } from './tested-runtimes.ts';

/** Who may pull what from the real registries. */
export const users = [{ name: 'team-a', password: 'the-right-word', repositories: ['team-a/'] }];
/** A password that nobody has. */
export const wrongPassword = 'the-wrong-word';

type Tested = TestedRuntime['name'];

/** A pull that fails: what is pulled and with what, and what is told about it. */
export type Case = {
  readonly what: string;
  readonly image: string;
  /** Of the user team-a; without it, the pull is anonymous. */
  readonly password?: string;
  readonly kind: PullFailureKind;
  /** What the message says, of every runtime or of each its own. */
  readonly says: RegExp | Readonly<Record<Tested, RegExp>>;
  /** With which runtimes it cannot be shown, and why. */
  readonly not?: Partial<Record<Tested, string>>;
};

/** Puts into a real registry what `refusals` pulls. */
export async function publishImages(registry: Registry): Promise<void> {
  const other = process.arch === 'x64' ? 'linux/arm64' : 'linux/amd64';
  const image = { tag: 'v1', layers: [1_000] };
  await publishImage(registry, { ...image, repository: 'team-a/api' });
  await publishImage(registry, { ...image, repository: 'team-b/api' });
  await publishImage(registry, { ...image, repository: 'team-a/other', platforms: [other, 'linux/s390x'] });
}

/** What a real registry refuses by itself. */
export function refusals({ host }: Registry, authentication: 'token' | 'htpasswd'): readonly Case[] {
  const image = `${host}/team-a/api:v1`;
  const password = 'the-right-word';
  const cases: readonly Case[] = [
    {
      what: 'a wrong password',
      image,
      password: wrongPassword,
      kind: 'auth',
      says: /401 Unauthorized|authorization failed|unauthorized: /,
    },
    {
      what: 'no password',
      image,
      kind: 'auth',
      says: /401 Unauthorized|authorization failed|no basic auth credentials|unauthorized: /,
    },
    {
      what: 'no such tag',
      image: `${host}/team-a/api:none`,
      password,
      kind: 'not-found',
      says: {
        containerd: /api:none: not found;/,
        docker: /api:none not found: /,
        podman: /manifest unknown;/,
      },
    },
    {
      what: 'no such repository',
      image: `${host}/team-a/none:v1`,
      password,
      kind: 'not-found',
      says: { containerd: /none:v1: not found;/, docker: /none:v1 not found: /, podman: /manifest unknown;/ },
    },
    {
      what: 'another platform',
      image: `${host}/team-a/other:v1`,
      password,
      kind: 'platform',
      says: {
        containerd: /no match for platform/,
        docker: /no matching manifest for linux\//,
        podman: /no image found in image index for architecture/,
      },
    },
  ];
  // Without tokens, whoever has a password may have all.
  const foreign: Case = {
    what: 'a repository of others',
    image: `${host}/team-b/api:v1`,
    password,
    kind: 'auth',
    says: /insufficient_scope|denied/,
  };
  return authentication === 'token' ? [...cases, foreign] : cases;
}

/** What is not reached at all, with the names that the node knows. */
export async function failedConnections(plainPort: number, tlsPort: number): Promise<readonly Case[]> {
  const kind = 'unreachable';
  const not = { docker: 'whatever is on 127.0.0.0/8 is trusted, and reached without TLS' };
  return [
    {
      what: 'connection refused',
      image: `127.0.0.1:${await freePort()}/app:v1`,
      kind,
      says: /connection refused/,
    },
    { what: 'an unknown name', image: 'no-such-host.invalid/app:v1', kind, says: /no such host/ },
    {
      what: 'an unknown CA',
      image: `registry.test:${tlsPort}/app:v1`,
      kind,
      says: /signed by unknown authority/,
      not,
    },
    {
      what: 'no TLS',
      image: `registry.test:${plainPort}/app:v1`,
      kind,
      says: /HTTP response to HTTPS client/,
      not,
    },
  ];
}
