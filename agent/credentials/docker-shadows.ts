import { type DockerReading, hostOfKey, readAsDocker } from '../docker-config/docker-cli-reading.ts';
import { nameSome, type Warning } from './warning.ts';

/** A docker config that docker's CLI reads, and which entries of it are ours. */
export type DockerFile = {
  /** The path on the node. */
  readonly path: string;
  readonly text: string;
  readonly registries: readonly string[];
};

/**
 * Names what keeps docker's CLI from using the entries that we wrote into its file. That it drops the file as a whole
 * is told by the state of the target.
 */
export function findDockerShadows({ path, text, registries }: DockerFile): readonly Warning[] {
  const reading = readAsDocker(text);
  if (!reading.valid) return [];
  const matters = new Map<string, string[]>();
  for (const registry of registries) {
    const matter = whatIsWrong(registry, reading);
    if (matter === undefined) continue;
    const names = matters.get(matter);
    if (names) names.push(registry);
    else matters.set(matter, [registry]);
  }
  return [...matters].map(([matter, names]) => ({
    about: `${matter} in ${path}`,
    text: `docker ${matter.replace('NAMES', nameSome(names)).replace('FILE', path)}`,
  }));
}

/** Why docker does not use an entry as it is meant, with NAMES and FILE to be filled in; undefined if it does. */
function whatIsWrong(
  registry: string,
  reading: DockerReading & { readonly valid: true },
): string | undefined {
  const host = hostOfKey(registry);
  // A bracket at the beginning is that of an IPv6 address.
  if (/\*|.\[/.test(host))
    return 'knows no patterns, so it uses none of NAMES in FILE; name the hosts one by one if docker needs them';
  const answer = reading.answer(host);
  if (answer.kind === 'none')
    return 'does not find NAMES in FILE; write Docker Hub as https://index.docker.io/v1/';
  if (answer.kind === 'helper')
    return `asks docker-credential-${answer.helper} (${answer.setting}) and not the entries for NAMES in FILE; take that setting out of the file if they should count`;
  return answer.registry === registry && hasPath(registry)
    ? 'takes no notice of the path of NAMES in FILE and uses the credential for the whole host; add an entry for the host if that is wrong'
    : undefined;
}

function hasPath(registry: string): boolean {
  const [, path = ''] = /^(?:[a-z]+:\/\/)?[^/]*(.*)$/is.exec(registry) ?? [];
  return !/^\/?(?:v[12]\/?)?$/.test(path);
}
