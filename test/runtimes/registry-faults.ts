import type { Case } from './failing-pulls.ts';
import type { FakeRepository } from './fake-registry.ts';
import { cutShort, hangUp, otherBytes, page, status, tattle, unsized } from './registry-answers.ts';

const patience = 'it tries again for minutes by itself';
const denied = { containerd: /403 Forbidden/, docker: /denied/, podman: /denied|403 \(Forbidden\)/ };
const tooMany = { containerd: /429 Too Many/, docker: /toomanyrequests/, podman: /too many requests/ };
const hiddenLogin = /bad login team-a:\[secret\] in Basic \[secret\]/;
const forbidden = /403 \(?Forbidden/;
// The others show nothing of the answer.
const badLogin = { containerd: forbidden, docker: hiddenLogin, podman: hiddenLogin };
const badLoginToDocker = { ...badLogin, podman: forbidden };
const badGateway = /502 Bad Gateway/;
const pageOf = (code: number, words: string) => ({
  containerd: new RegExp(`${code} ${words}`),
  docker: new RegExp(`error parsing HTTP ${code} response body`),
  podman: new RegExp(`StatusCode: ${code}`),
});

/** What a real registry does not do when it is asked to: each a repository of a fake one. */
export const faults: readonly (Omit<Case, 'image'> & { readonly repository: FakeRepository })[] = [
  { what: '403', repository: { manifest: status(403) }, kind: 'auth', says: denied },
  {
    what: '403 with the password in it',
    repository: { asksForPassword: true, manifest: tattle },
    kind: 'auth',
    says: badLogin,
  },
  {
    what: '403 for a layer with the password in it',
    repository: { asksForPassword: true, layer: tattle },
    kind: 'auth',
    says: badLoginToDocker,
  },
  {
    what: '403 for a token with the password in it',
    repository: { token: tattle },
    kind: 'auth',
    says: badLoginToDocker,
  },
  {
    what: '403 of a proxy',
    repository: { manifest: page(403) },
    kind: 'auth',
    says: pageOf(403, 'Forbidden'),
  },
  { what: '403 for a layer', repository: { layer: status(403) }, kind: 'auth', says: denied },
  { what: '403 for a signed URL', repository: { storage: status(403) }, kind: 'auth', says: denied },
  {
    what: '403 for a token',
    repository: { token: status(403) },
    kind: 'auth',
    says: { ...denied, containerd: /token.* 403 Forbidden/ },
  },
  {
    what: '404 for a layer',
    repository: { layer: status(404) },
    kind: 'not-found',
    says: { containerd: /from remote: not found/, docker: /unknown blob/, podman: /404 \(Not Found\)/ },
  },
  {
    what: '429',
    repository: { manifest: status(429) },
    kind: 'rate-limited',
    says: tooMany,
    not: { podman: patience },
  },
  {
    what: '429 with Retry-After',
    repository: { manifest: status(429, { 'retry-after': '20' }) },
    kind: 'rate-limited',
    says: tooMany,
    not: { podman: patience },
  },
  {
    what: '429 of a proxy',
    repository: { manifest: page(429) },
    kind: 'rate-limited',
    says: pageOf(429, 'Too Many'),
    not: { podman: patience },
  },
  {
    what: '429 for a layer',
    repository: { layer: status(429) },
    kind: 'rate-limited',
    says: tooMany,
    not: { podman: patience },
  },
  { what: '429 for a token', repository: { token: status(429) }, kind: 'rate-limited', says: tooMany },
  {
    what: '500',
    repository: { manifest: status(500) },
    kind: 'unreachable',
    says: /500 Internal Server Error/,
  },
  { what: '502 of a proxy', repository: { manifest: page(502) }, kind: 'unreachable', says: badGateway },
  {
    what: '503 for a layer',
    repository: { layer: status(503) },
    kind: 'unreachable',
    says: /503 \(?Service Unav/,
  },
  {
    what: '500 for a token',
    repository: { token: status(500) },
    kind: 'unreachable',
    says: /500 \(?Internal/,
  },
  { what: 'a connection that is closed', repository: { manifest: hangUp }, kind: 'unreachable', says: /EOF/ },
  { what: 'a token service that hangs up', repository: { token: hangUp }, kind: 'unreachable', says: /EOF/ },
  { what: 'a signed URL that breaks', repository: { storage: hangUp }, kind: 'unreachable', says: /EOF/ },
  {
    what: 'a layer cut short',
    repository: { layer: cutShort },
    kind: 'unreachable',
    says: {
      containerd: /unexpected EOF/,
      docker: /expected HTTP 206 from byte range request/,
      podman: /unexpected EOF/,
    },
  },
  {
    what: 'a digest that does not match',
    repository: { layer: otherBytes },
    kind: 'unreachable',
    says: {
      containerd: /unexpected commit digest sha256:.*, expected sha256:/,
      docker: /filesystem layer verification failed for digest sha256:/,
      podman: /sha256:.*, got sha256:/,
    },
  },
  {
    what: 'a manifest that is none',
    repository: { manifest: otherBytes },
    kind: 'unreachable',
    says: {
      containerd: /unexpected commit digest sha256:.*, expected sha256:/,
      docker: /invalid character 'x'/,
      podman: /invalid character 'x'/,
    },
  },
  {
    what: 'a manifest without its length',
    repository: { manifest: unsized },
    kind: 'unreachable',
    says: { containerd: /invalid desc/, docker: /Content-Length header/, podman: /invalid character 'x'/ },
  },
  {
    what: 'a page instead of a manifest',
    repository: { manifest: page(200) },
    kind: 'unreachable',
    says: {
      containerd: /failed size validation/,
      docker: /invalid character '<'/,
      podman: /invalid character '<'/,
    },
  },
];
