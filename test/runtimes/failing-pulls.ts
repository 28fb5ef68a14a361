import type { PullFailureKind } from '../../agent/runtimes/pull-failure.ts';
import { publishImage } from '../sandbox/images.ts';
import { freePort } from '../sandbox/link.ts';
import type { Registry } from '../sandbox/registry.ts';
import type { FakeRepository } from './fake-registry.ts';
import { cutShort, hangUp, otherBytes, status } from './registry-answers.ts';

/** Who may pull what from the real registries. */
export const users = [{ name: 'team-a', password: 'the-right-word', repositories: ['team-a/'] }];
/** A password that nobody has. */
export const wrongPassword = 'the-wrong-word';

/** A pull that fails: what is pulled and with what, and what is told about it. */
export type Case = {
  readonly what: string;
  readonly image: string;
  /** Of the user team-a; without it, the pull is anonymous. */
  readonly password?: string;
  readonly kind: PullFailureKind;
  readonly says: RegExp;
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
      says: /401 Unauthorized|authorization failed/,
    },
    {
      what: 'no password',
      image,
      kind: 'auth',
      says: /authorization failed|no basic auth credentials|401 Unauthorized/,
    },
    {
      what: 'no such tag',
      image: `${host}/team-a/api:none`,
      password,
      kind: 'not-found',
      says: /api:none: not found;/,
    },
    {
      what: 'no such repository',
      image: `${host}/team-a/none:v1`,
      password,
      kind: 'not-found',
      says: /none:v1: not found;/,
    },
    {
      what: 'another platform',
      image: `${host}/team-a/other:v1`,
      password,
      kind: 'platform',
      says: /no match for platform/,
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

/** What a real registry does not do when it is asked to: each a repository of a fake one. */
export const faults: readonly (Omit<Case, 'image'> & { readonly repository: FakeRepository })[] = [
  { what: '403', repository: { manifest: status(403) }, kind: 'auth', says: /403 Forbidden/ },
  { what: '403 for a layer', repository: { layer: status(403) }, kind: 'auth', says: /403 Forbidden/ },
  { what: '403 for a signed URL', repository: { storage: status(403) }, kind: 'auth', says: /403 Forbidden/ },
  {
    what: '403 for a token',
    repository: { token: status(403) },
    kind: 'auth',
    says: /token.* 403 Forbidden/,
  },
  {
    what: '404 for a layer',
    repository: { layer: status(404) },
    kind: 'not-found',
    says: /from remote: not found/,
  },
  { what: '429', repository: { manifest: status(429) }, kind: 'rate-limited', says: /429 Too Many/ },
  {
    what: '429 with Retry-After',
    repository: { manifest: status(429, { 'retry-after': '20' }) },
    kind: 'rate-limited',
    says: /429 Too Many/,
  },
  { what: '429 for a layer', repository: { layer: status(429) }, kind: 'rate-limited', says: /429 Too Many/ },
  { what: '429 for a token', repository: { token: status(429) }, kind: 'rate-limited', says: /429 Too Many/ },
  {
    what: '500',
    repository: { manifest: status(500) },
    kind: 'unreachable',
    says: /500 Internal Server Error/,
  },
  {
    what: '503 for a layer',
    repository: { layer: status(503) },
    kind: 'unreachable',
    says: /503 Service Unav/,
  },
  { what: '500 for a token', repository: { token: status(500) }, kind: 'unreachable', says: /500 Internal/ },
  { what: 'a connection that is closed', repository: { manifest: hangUp }, kind: 'unreachable', says: /EOF/ },
  { what: 'a token service that hangs up', repository: { token: hangUp }, kind: 'unreachable', says: /EOF/ },
  { what: 'a signed URL that breaks', repository: { storage: hangUp }, kind: 'unreachable', says: /EOF/ },
  { what: 'a layer cut short', repository: { layer: cutShort }, kind: 'unreachable', says: /unexpected EOF/ },
  {
    what: 'a digest that does not match',
    repository: { layer: otherBytes },
    kind: 'unreachable',
    says: /unexpected commit digest sha256:.*, expected sha256:/,
  },
  {
    what: 'a manifest that is none',
    repository: { manifest: otherBytes },
    kind: 'unreachable',
    says: /invalid/,
  },
];

/** What is not reached at all, with the names that the node knows. */
export async function failedConnections(plainPort: number, tlsPort: number): Promise<readonly Case[]> {
  const kind = 'unreachable';
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
    },
    {
      what: 'no TLS',
      image: `registry.test:${plainPort}/app:v1`,
      kind,
      says: /HTTP response to HTTPS client/,
    },
  ];
}
