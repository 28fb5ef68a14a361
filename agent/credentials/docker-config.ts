import type { SecretText } from '../base/secret-text.ts';
import { canonicalBasicAuth, encodeBasicAuth } from './basic-auth.ts';
import type { Entry } from './entry.ts';

/** The two forms of a document with registry credentials. */
export type DockerConfigForm = 'dockerconfigjson' | 'dockercfg';

/** What a document of a source says: its good entries and what is wrong with the others; or that it cannot be used. */
export type DocumentReading =
  | {
      readonly ok: true;
      readonly entries: readonly Entry[];
      /** The registry keys of the entries that are left out. */
      readonly leftOut: readonly string[];
      readonly problems: readonly string[];
    }
  | { readonly ok: false; readonly problem: string };

/**
 * Reads the entries of a source's document. A bad entry is left out and reported, because one of them would make the
 * kubelet drop the whole file; the others go on. The document as a whole is refused only if it is no JSON object or
 * `auths` is none. No message quotes the document: what is malformed may be a secret.
 */
export function readDocument(text: string, form: DockerConfigForm, source: string): DocumentReading {
  const root = parseObject(text);
  if (typeof root === 'string') return { ok: false, problem: root };
  const auths = form === 'dockercfg' ? root : (field(root, 'auths') ?? {});
  if (!isObject(auths)) return { ok: false, problem: `"auths" is ${kindOf(auths)} and should be an object` };

  const entries: Entry[] = [];
  const leftOut: string[] = [];
  const problems = form === 'dockercfg' ? [] : helperProblems(root);
  for (const [registry, value] of Object.entries(auths)) {
    const name = withoutUser(registry);
    const reading = name === registry ? readEntryValue(value) : bad('its name holds a user name or password');
    if (reading.kind === 'usable') {
      entries.push({ registry, source, auth: reading.auth });
      continue;
    }
    leftOut.push(registry);
    problems.push(`the entry ${JSON.stringify(name)} is left out: ${problemOf(reading)}`);
  }
  return { ok: true, entries, leftOut, problems };
}

/** The registry without what stands before an `@` in its URL: names are shown, and there a password could be. */
function withoutUser(registry: string): string {
  return registry.replace(/^(https?:\/\/)?[^/?#]*@/i, '$1');
}

function helperProblems(root: object): string[] {
  return ['credHelpers', 'credsStore']
    .filter(name => field(root, name) !== undefined)
    .map(name => `its ${name} is ignored: this version runs no credential helpers`);
}

/** What the value of one entry says. `empty` names a registry without a credential, as docker does beside a helper. */
export type EntryValue =
  | { readonly kind: 'usable'; readonly auth: SecretText }
  | { readonly kind: 'empty' }
  | { readonly kind: 'bad'; readonly problem: string };

/** Reads the value of one entry. `auth` wins over `username` and `password`, as in the kubelet. */
export function readEntryValue(value: unknown): EntryValue {
  if (!isObject(value)) return bad(`it is ${kindOf(value)} and should be an object`);
  const texts: Record<string, string> = {};
  for (const name of ['auth', 'username', 'password', 'email']) {
    const text = field(value, name) ?? '';
    if (typeof text !== 'string') return bad(`its "${name}" is ${kindOf(text)} and should be a string`);
    texts[name] = text;
  }
  const { auth = '', username = '', password = '' } = texts;
  if (auth === '' && username === '' && password === '') return { kind: 'empty' };
  if (auth === '' && username.includes(':')) return bad('its "username" contains a colon');
  const canonical = auth === '' ? encodeBasicAuth(username, password) : canonicalBasicAuth(auth);
  return canonical
    ? { kind: 'usable', auth: canonical }
    : bad('its "auth" is not the base64 of user:password');
}

function problemOf(reading: Exclude<EntryValue, { kind: 'usable' }>): string {
  return reading.kind === 'bad' ? reading.problem : 'it has neither "auth" nor "username" and "password"';
}

function bad(problem: string): EntryValue {
  return { kind: 'bad', problem };
}

/**
 * The member `name` of a JSON object as Go's decoder finds it: any case, the last one wins.
 * https://pkg.go.dev/encoding/json#Unmarshal
 */
export function field(object: object, name: string): unknown {
  return Object.entries(object).findLast(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
}

/** True for what JSON calls an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseObject(text: string): Record<string, unknown> | string {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return text.trim() === '' ? 'it is empty' : 'it is not JSON';
  }
  return isObject(root) ? root : `it is ${kindOf(root)} and should be an object`;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return `a ${typeof value}`;
}
