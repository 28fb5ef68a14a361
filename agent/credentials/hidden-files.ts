import { dirname, join } from 'node:path';
import { readTextFile } from '../base/read-text-file.ts';
import { readAsKubelet } from '../docker-config/kubelet-reading.ts';
import { normaliseKey } from '../docker-config/registry-key.ts';
import { formOf, readerOf } from './target-kind.ts';
import { nameSome, type Warning } from './warning.ts';

/** The root directory of a kubelet that nobody told anything else (`--root-dir`). */
const usualRoot = '/var/lib/kubelet';

/**
 * Names the docker configs of the node that the kubelet does not see: the first valid one of its list wins, nothing is
 * merged. `targets` are the paths that we write, `registries` the keys that we write. What is not mounted here is not
 * known. https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/credentialprovider/config.go
 */
export async function findHiddenFiles(
  hostRoot: string,
  targets: readonly string[],
  registries: readonly string[],
): Promise<readonly Warning[]> {
  const root = dirname(targets.find(isRootFile) ?? join(usualRoot, 'config.json'));
  const files: { path: string; keys: readonly string[] }[] = [];
  for (const path of searchPath(root)) {
    const text = await readTextFile(join(hostRoot, path)).catch(() => undefined);
    const reading = text === undefined ? undefined : readAsKubelet(text, formOf(path));
    if (reading?.valid) files.push({ path, keys: [...reading.credentials.keys()] });
  }
  const [winner, ...hidden] = files;
  if (!winner) return [];
  const seen = new Set([...winner.keys, ...registries].map(normaliseKey));
  return hidden.flatMap(({ path, keys }) => {
    if (targets.includes(path) && !targets.includes(winner.path) && readerOf(path) === 'kubelet')
      return [shadowedTarget(path, winner.path)];
    // What others hide from each other is not our doing.
    if (!targets.includes(winner.path)) return [];
    const lost = keys.filter(key => !seen.has(normaliseKey(key)));
    return lost.length === 0 ? [] : [hiddenEntries(path, winner.path, lost)];
  });
}

/**
 * Where the kubelet looks, in its order, if it has no HOME, as a service of systemd has none. What is in root's
 * directory it then never read.
 */
function searchPath(root: string): readonly string[] {
  const configs = [root, '/', '/.docker'].map(directory => join(directory, 'config.json'));
  const legacy = [root, '/'].map(directory => join(directory, '.dockercfg'));
  return [...configs, ...legacy];
}

function isRootFile(path: string): boolean {
  return (
    readerOf(path) === 'kubelet' && formOf(path) === 'dockerconfigjson' && path !== '/.docker/config.json'
  );
}

function shadowedTarget(path: string, winner: string): Warning {
  return {
    about: `${winner} hides ${path}`,
    text: `the kubelet reads ${winner} and so never ${path}; add ${winner} to credentials.targets`,
  };
}

function hiddenEntries(path: string, winner: string, lost: readonly string[]): Warning {
  return {
    about: `${winner} hides ${path}`,
    text: `the kubelet reads ${winner} and so not ${path}, which alone has credentials for ${nameSome(lost)}; put them into a Secret that is mounted here if pods need them`,
  };
}
