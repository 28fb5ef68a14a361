import { hostOfKey, readAsDocker } from '../docker-config/docker-cli-reading.ts';
import { nameSome, type Warning } from './warning.ts';

/** A docker config that docker's CLI reads, and which entries of it are ours. */
export type DockerFile = {
  /** The path on the node. */
  readonly path: string;
  readonly text: string;
  readonly registries: readonly string[];
};

/** Names what keeps docker's CLI from using the entries that we wrote into its file. */
export function findDockerShadows({ path, text, registries }: DockerFile): readonly Warning[] {
  const reading = readAsDocker(text);
  if (!reading.valid)
    return [
      {
        about: `docker cannot read ${path}`,
        text: `docker ignores ${path} as a whole: ${reading.problem}; mend or remove what somebody else wrote there`,
      },
    ];
  const helpers = new Map<string, string[]>();
  const globs: string[] = [];
  const paths: string[] = [];
  for (const registry of registries) {
    const host = hostOfKey(registry);
    if (/[*?[]/.test(host)) {
      globs.push(registry);
      continue;
    }
    const answer = reading.answer(host);
    if (answer.kind === 'helper') {
      const name = `docker-credential-${answer.helper} (${answer.setting})`;
      helpers.set(name, [...(helpers.get(name) ?? []), registry]);
    } else if (answer.kind === 'entry' && answer.registry === registry && hasPath(registry))
      paths.push(registry);
  }
  return [
    ...[...helpers].map(([helper, hidden]) => ({
      about: `docker asks ${helper} in ${path}`,
      text: `docker asks ${helper} and not the entries for ${nameSome(hidden)} in ${path}; take that setting out of the file if they should count`,
    })),
    ...(globs.length === 0
      ? []
      : [
          {
            about: `globs in ${path}`,
            text: `docker knows no patterns, so it uses none of ${nameSome(globs)} in ${path}; only the kubelet does`,
          },
        ]),
    ...(paths.length === 0
      ? []
      : [
          {
            about: `paths in ${path}`,
            text: `docker takes no notice of the path of ${nameSome(paths)} in ${path} and uses the credential for the whole host`,
          },
        ]),
  ];
}

function hasPath(registry: string): boolean {
  const rest = registry.replace(/^https?:\/\//, '');
  const path = rest.slice(hostOfKey(registry).length);
  return !/^\/?(?:v[12]\/?)?$/.test(path);
}
