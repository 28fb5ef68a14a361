import { SecretText } from '../base/secret-text.ts';
import { decodeBasicAuth } from './basic-auth.ts';
import { field, isObject, readEntryValue } from './docker-config.ts';
import type { Credential } from './entry.ts';

/** The credentials of a docker config as the kubelet sees them. */
export type Keyring = {
  /**
   * All credentials for `repository` (fully qualified, without tag or digest: `docker.io/library/nginx`) in the order
   * in which the kubelet tries them; none means an anonymous pull. A credential without user name and password is an
   * entry that names the registry and nothing else; the kubelet tries that too.
   */
  lookup(repository: string): readonly Credential[];
};

const noCredential: Credential = { username: '', password: new SecretText('') };

/**
 * Reads a docker config as the kubelet does: one bad entry voids the whole file.
 * https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/credentialprovider/keyring.go
 */
export function readKeyring(text: string | undefined): Keyring {
  const byKey = new Map<string, Credential[]>();
  for (const [registry, value] of readAuths(text)) {
    const entry = readEntryValue(value ?? {});
    if (entry.kind === 'bad') return { lookup: () => [] };
    const key = normaliseKey(registry);
    if (key === undefined) continue;
    const credential = entry.kind === 'empty' ? noCredential : decodeBasicAuth(entry.auth);
    const known = byKey.get(key);
    if (known) known.push(credential);
    else byKey.set(key, [credential]);
  }
  // Descending, so that a longer path stands before a shorter one and a plain host before a wildcard.
  const keys = [...byKey.keys()].sort().reverse();
  return {
    lookup(repository) {
      const matches = keys.filter(key => matchesKey(key, repository)).flatMap(key => byKey.get(key) ?? []);
      if (matches.length > 0 || !isDockerHub(repository)) return matches;
      return byKey.get('index.docker.io') ?? [];
    },
  };
}

function readAuths(text: string | undefined): readonly (readonly [string, unknown])[] {
  try {
    const root: unknown = JSON.parse(text ?? '{}');
    const auths = isObject(root) ? field(root, 'auths') : undefined;
    return isObject(auths) ? Object.entries(auths) : [];
  } catch {
    return [];
  }
}

/** The form in which a key is compared: without scheme, without a leading `/v1` or `/v2` before another slash. */
function normaliseKey(registry: string): string | undefined {
  const [, rest = ''] = /^(?:https?:\/\/)?(.*)$/s.exec(registry) ?? [];
  const [, authority = '', path = ''] = /^([^/?#]*)([^?#]*)/s.exec(rest) ?? [];
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  if (host === '' || /[\s"<>\\^`{|}]/.test(host)) return undefined;
  const stripped = /^\/v[12]\//.test(path) ? path.slice(3) : path;
  return stripped === '' || stripped === '/' ? host : host + stripped;
}

function matchesKey(key: string, repository: string): boolean {
  const [keyHost, keyPath] = splitHost(key);
  const [host, path] = splitHost(repository);
  const [keyName, keyPort] = splitPort(keyHost);
  const [name, port] = splitPort(host);
  const patterns = keyName.split('.');
  const labels = name.split('.');
  return (
    keyPort === port &&
    patterns.length === labels.length &&
    path.startsWith(keyPath) &&
    patterns.every((pattern, index) => matchesLabel(pattern, labels[index] ?? ''))
  );
}

/** Matches `*` and `?`, going back to the last star only: no pattern can make it slow. */
function matchesLabel(pattern: string, label: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  let position = 0;
  while (position < label.length) {
    if (pattern[at] === '*') {
      star = at++;
      resume = position;
    } else if (pattern[at] === '?' || (pattern[at] !== undefined && pattern[at] === label[position])) {
      at++;
      position++;
    } else if (star >= 0) {
      at = star + 1;
      position = ++resume;
    } else return false;
  }
  return /^\**$/.test(pattern.slice(at));
}

function splitHost(text: string): readonly [host: string, path: string] {
  const slash = text.indexOf('/');
  return slash < 0 ? [text, ''] : [text.slice(0, slash), text.slice(slash)];
}

function splitPort(host: string): readonly [name: string, port: string] {
  const [, name = host, port = ''] = /^(.*):([^:]*)$/.exec(host) ?? [];
  return [name, port];
}

function isDockerHub(repository: string): boolean {
  const [host] = splitHost(repository);
  return host === 'docker.io' || host === 'index.docker.io' || !/[.:]/.test(host);
}
