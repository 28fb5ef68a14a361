import { type Node, parseTree } from 'jsonc-parser';

/** A value of a JSON text that remembers where it stands, and each of its members, also those of the same name. */
export type JsonNode = Node;

/**
 * Takes a JSON text apart as strictly as Go's decoder does; undefined if it is none. `JSON.parse` alone would not do:
 * of several members with one name it shows the last, while a decoder that stops at the first bad one never gets there.
 */
export function parseJsonText(text: string): JsonNode | undefined {
  try {
    // JSON.parse decides what is JSON; the tolerant parser only finds where in the text the values stand.
    JSON.parse(text);
    return parseTree(text);
  } catch {
    // Not JSON, or nested so deeply that the stack ends; Go, and with it the kubelet, gives up at a depth of 10,000.
    return undefined;
  }
}

/** The same for the value with which a text begins, whatever follows it, as Go's streaming decoder reads. */
export function parseJsonStart(text: string): JsonNode | undefined {
  try {
    const first = parseTree(text);
    return first && parseJsonText(text.slice(0, first.offset + first.length));
  } catch {
    return undefined;
  }
}

/** The members of an object in the order of the text; none for anything else. */
export function membersOf(node: JsonNode | undefined): readonly (readonly [name: string, value: JsonNode])[] {
  if (node?.type !== 'object') return [];
  return (node.children ?? []).flatMap(({ children }) => {
    const [key, value] = children ?? [];
    // An escape can leave half a character behind; Go reads each such half as U+FFFD, and so two keys may be one.
    return key && value ? [[String(key.value).toWellFormed(), value] as const] : [];
  });
}

/** The last member of an object whose name is `name` in whatever case. */
export function memberOf(node: JsonNode | undefined, name: string): JsonNode | undefined {
  return membersOf(node).findLast(([key]) => isNamed(key, name))?.[1];
}

/**
 * Whether Go's decoder takes the key for the field `name` (lower case): it folds the case of both, and by Unicode's
 * folding a long s is an s. https://pkg.go.dev/encoding/json#Unmarshal
 */
export function isNamed(key: string, name: string): boolean {
  return key.toLowerCase().replaceAll('ſ', 's') === name;
}

/** The text of a value, to the byte. */
export function rawText(text: string, { offset, length }: JsonNode): string {
  return text.slice(offset, offset + length);
}

/** What a value is, in words: `a list`. */
export function kindOf({ type }: JsonNode): string {
  if (type === 'null') return 'null';
  if (type === 'array') return 'a list';
  return type === 'object' ? 'an object' : `a ${type}`;
}

/**
 * Fills the fields `names` from an object's members as Go's decoder fills a struct of strings: in whatever case, the
 * last one wins, and null leaves a field as it was. Returns what is wrong if a value is neither string nor null.
 */
export function stringFields<Name extends string>(
  node: JsonNode,
  names: readonly Name[],
): Readonly<Record<Name, string>> | { readonly problem: string } {
  const fields = Object.fromEntries(names.map(name => [name, ''])) as Record<Name, string>;
  for (const [key, value] of membersOf(node)) {
    const name = names.find(candidate => isNamed(key, candidate));
    if (name === undefined || value.type === 'null') continue;
    if (value.type !== 'string')
      return { problem: `its "${name}" is ${kindOf(value)} and should be a string` };
    fields[name] = String(value.value);
  }
  return fields;
}
