import { normaliseKey } from '../docker-config/registry-key.ts';
import type { Entry } from './entry.ts';
import type { Warning } from './warning.ts';

/** Names under which people look for Docker Hub, and no image is ever pulled. */
const dockerHubNames = [
  'registry-1.docker.io',
  'hub.docker.com',
  'registry.hub.docker.com',
  'auth.docker.io',
];

/** Names the entries whose key can never match an image, as the kubelet compares them, and what to write instead. */
export function findUselessKeys(entries: readonly Entry[]): readonly Warning[] {
  return entries.flatMap(({ registry, source }) => {
    const why = whyUseless(registry);
    if (why === undefined) return [];
    const text = `the entry ${JSON.stringify(registry)} of the Secret ${source} matches no image: ${why}`;
    return [{ about: `useless key ${registry} ${source}`, text }];
  });
}

function whyUseless(registry: string): string | undefined {
  const key = normaliseKey(registry);
  if (key === undefined) return 'it is no registry address; write host, host:port or host/path';
  const [host = '', ...rest] = key.split('/');
  const path = rest.join('/');
  if (dockerHubNames.includes(host)) return 'Docker Hub is written https://index.docker.io/v1/';
  if (host === 'index.docker.io' && path !== '')
    return 'Docker Hub is written https://index.docker.io/v1/, with its last slash';
  if (/.\[/.test(host)) return 'the newest kubelets know no [a-z] in a host; use *';
  if (host !== host.toLowerCase())
    return 'the kubelet compares letter by letter; write the host in lower case';
  if (path !== path.toLowerCase()) return 'the names of repositories are in lower case';
  if (path.startsWith('/'))
    return 'it begins with something else than https:// or http://; write the host alone';
  if (/[:@]/.test(path)) return 'the kubelet compares names without tag and digest; leave it out';
  return undefined;
}
