import { isNamed, type JsonNode, membersOf, parseJsonText, rawText } from './json-text.ts';

/** The two forms of a document with registry credentials: in the older one the entries stand at the top. */
export type DockerConfigForm = 'dockerconfigjson' | 'dockercfg';

/**
 * A docker config file as text. Values are kept as the bytes that stand in the file, so that what other people wrote
 * there survives unchanged (also numbers that JavaScript cannot hold, and escapes).
 */
export type DockerConfigText = {
  /** The raw JSON value of every top-level key but the one with the entries, in the order of the file. */
  readonly others: ReadonlyMap<string, string>;
  /** The raw JSON value of every entry by its registry key, in the order of the file. */
  readonly entries: ReadonlyMap<string, string>;
};

/** Takes the text of a docker config apart. Returns undefined for what is not a docker config: no object, odd `auths`. */
export function parseDockerConfigText(
  text: string,
  form: DockerConfigForm = 'dockerconfigjson',
): DockerConfigText | undefined {
  const root = parseJsonText(text);
  if (root?.type !== 'object') return undefined;
  const others = new Map<string, string>();
  const entries = new Map<string, string>();
  const addEntries = (object: JsonNode) => {
    for (const [registry, value] of membersOf(object)) entries.set(registry, rawText(text, value));
  };
  if (form === 'dockercfg') {
    addEntries(root);
    return { others, entries };
  }
  for (const [key, value] of membersOf(root)) {
    if (!isNamed(key, 'auths')) others.set(key, rawText(text, value));
    else if (value.type !== 'object' && value.type !== 'null') return undefined;
    // Several keys of that name, in whatever case, add up in Go's decoder, and nobody's entry may be lost.
    else addEntries(value);
  }
  return { others, entries };
}

/** Puts a docker config together again, indented with tabs as docker's own CLI does. */
export function formatDockerConfigText(
  { others, entries }: DockerConfigText,
  form: DockerConfigForm = 'dockerconfigjson',
): string {
  if (form === 'dockercfg') return `${formatObject(entries, '')}\n`;
  const auths = formatObject(entries, '\t');
  return `${formatObject(new Map([['auths', auths], ...others]), '')}\n`;
}

function formatObject(members: ReadonlyMap<string, string>, indent: string): string {
  if (members.size === 0) return '{}';
  const lines = [...members].map(([key, value]) => `${indent}\t${JSON.stringify(key)}: ${value}`);
  return `{\n${lines.join(',\n')}\n${indent}}`;
}
