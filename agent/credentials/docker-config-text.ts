import { type Node, parseTree } from 'jsonc-parser';
import { isObject } from './docker-config.ts';

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
export function parseDockerConfigText(text: string): DockerConfigText | undefined {
  // JSON.parse decides what is JSON; the tolerant parser only finds where in the text the values stand.
  if (!isObject(parseJson(text))) return undefined;
  const tree = parsePositions(text);
  if (tree === undefined) return undefined;

  const others = new Map<string, string>();
  const entries = new Map<string, string>();
  for (const [key, node] of members(tree)) {
    if (key.toLowerCase() !== 'auths') others.set(key, raw(text, node));
    else if (node.type !== 'object' && node.type !== 'null') return undefined;
    // Several keys of that name, in whatever case, add up in Go's decoder, and nobody's entry may be lost.
    else for (const [registry, value] of members(node)) entries.set(registry, raw(text, value));
  }
  return { others, entries };
}

/** Puts a docker config together again, indented with tabs as docker's own CLI does. */
export function formatDockerConfigText({ others, entries }: DockerConfigText): string {
  const auths = formatObject(entries, '\t');
  return `${formatObject(new Map([['auths', auths], ...others]), '')}\n`;
}

function formatObject(members: ReadonlyMap<string, string>, indent: string): string {
  if (members.size === 0) return '{}';
  const lines = [...members].map(([key, value]) => `${indent}\t${JSON.stringify(key)}: ${value}`);
  return `{\n${lines.join(',\n')}\n${indent}}`;
}

function parsePositions(text: string): Node | undefined {
  try {
    return parseTree(text);
  } catch {
    // Nested so deeply that the stack ends; Go, and with it the kubelet, gives up at a depth of 10,000.
    return undefined;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function members(object: Node): readonly (readonly [key: string, value: Node])[] {
  return (object.children ?? []).flatMap(({ children }) => {
    const [key, value] = children ?? [];
    return key && value ? [[String(key.value), value] as const] : [];
  });
}

function raw(text: string, node: Node): string {
  return text.slice(node.offset, node.offset + node.length);
}
