import type { Credential } from './credential.ts';
import { readAsKubelet } from './kubelet-reading.ts';
import { matchesKey, normaliseKey } from './registry-key.ts';

/** A credential that matches an image, and the key that it stands under in the file. */
type Match = Credential & { readonly registry: string };

/** The credentials of a docker config as the kubelet sees them. */
export type Keyring = {
  /**
   * All credentials for `repository` (fully qualified, without tag or digest: `docker.io/library/nginx`) in the order
   * in which the kubelet tries them; none means an anonymous pull.
   */
  lookup(repository: string): readonly Match[];
};

/** Where the kubelet looks for a credential for Docker Hub if nothing else matches. */
const dockerHubKey = 'index.docker.io';

/**
 * The keyring of a docker config; an empty one where the kubelet would drop the file, or there is none.
 * https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/credentialprovider/keyring.go (BasicDockerKeyring.Lookup)
 */
export function readKeyring(text: string | undefined): Keyring {
  const reading = readAsKubelet(text ?? '{}');
  const byKey = new Map<string, Match[]>();
  for (const [registry, credential] of reading.valid ? reading.credentials : []) {
    const key = normaliseKey(registry);
    if (key === undefined) continue;
    const match = { ...credential, registry };
    const known = byKey.get(key);
    if (known) known.push(match);
    else byKey.set(key, [match]);
  }
  // Descending, so that a longer path stands before a shorter one and a plain host before a wildcard.
  const keys = [...byKey.keys()].sort().reverse();
  return {
    lookup(repository) {
      const matches = keys.filter(key => matchesKey(key, repository)).flatMap(key => byKey.get(key) ?? []);
      return matches.length === 0 && isDockerHub(repository) ? (byKey.get(dockerHubKey) ?? []) : matches;
    },
  };
}

function isDockerHub(repository: string): boolean {
  const [host = '', ...path] = repository.split('/');
  if (host === '' || path.length === 0) return host !== '';
  return host === 'docker.io' || host === dockerHubKey || !/[.:]/.test(host);
}
