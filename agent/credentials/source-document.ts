import { isUtf8 } from 'node:buffer';
import { SecretText } from '../base/secret-text.ts';
import { canonicalBasicAuth, encodeBasicAuth } from '../docker-config/basic-auth.ts';
import type { DockerConfigForm } from '../docker-config/docker-config-text.ts';
import {
  isNamed,
  type JsonNode,
  kindOf,
  memberOf,
  membersOf,
  parseJsonText,
  stringFields,
} from '../docker-config/json-text.ts';
import { hasUser, showRegistry } from '../docker-config/shown-registry.ts';
import { type Entry, makeEntry } from './entry.ts';

/** A registry whose credential a helper program is to be asked for: `docker-credential-SUFFIX`. */
export type HelperRequest = { readonly registry: string; readonly suffix: string };

/** What a document of a source says: its good entries and what is wrong with the others; or that it cannot be used. */
export type DocumentReading =
  | {
      readonly ok: true;
      readonly entries: readonly Entry[];
      readonly helpers: readonly HelperRequest[];
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
  const root = parseJsonText(text);
  if (root === undefined)
    return { ok: false, problem: text.trim() === '' ? 'it is empty' : 'it is not JSON' };
  if (root.type !== 'object') return { ok: false, problem: `it is ${kindOf(root)} and should be an object` };
  // Several members of that name add up, as in Go's decoder.
  const lists =
    form === 'dockercfg'
      ? [root]
      : membersOf(root).flatMap(([key, value]) => (isNamed(key, 'auths') ? [value] : []));
  const odd = lists.find(({ type }) => type !== 'object' && type !== 'null');
  if (odd) return { ok: false, problem: `"auths" is ${kindOf(odd)} and should be an object` };

  const entries = new Map<string, Entry>();
  const leftOut: string[] = [];
  const problems: string[] = [];
  const stored: string[] = [];
  // Of several members of one name the last one counts, as everywhere.
  for (const [registry, value] of new Map(lists.flatMap(membersOf))) {
    const reading = readSourceEntry(registry, value, source);
    if (reading === 'empty') stored.push(registry);
    else if ('problem' in reading) {
      leftOut.push(registry);
      problems.push(`the entry ${showRegistry(registry)} is left out: ${reading.problem}`);
    } else entries.set(registry, reading);
  }
  const helpers = form === 'dockercfg' ? [] : readHelpers(root, stored, problems);
  const asked = new Set(helpers.map(({ registry }) => registry));
  for (const registry of stored.filter(name => !asked.has(name))) {
    leftOut.push(registry);
    problems.push(
      `the entry ${showRegistry(registry)} is left out: it has neither "auth" nor "username" and "password"`,
    );
  }
  return { ok: true, entries: [...entries.values()], helpers, leftOut, problems: shorten(problems) };
}

/** So many problems of one document are told one by one. */
const maxProblems = 20;

function shorten(problems: readonly string[]): readonly string[] {
  const more = problems.length - maxProblems;
  return more > 0
    ? [...problems.slice(0, maxProblems), `there are ${more} more problems like these`]
    : problems;
}

/** The registries that the document leaves to helper programs; `stored` are those that it names and says nothing of. */
function readHelpers(root: JsonNode, stored: readonly string[], problems: string[]): HelperRequest[] {
  const requests = new Map<string, string>();
  const store = memberOf(root, 'credsstore');
  if (store?.type === 'string') {
    for (const registry of stored) requests.set(registry, String(store.value));
    if (stored.length === 0)
      problems.push('its credsStore serves no registry: name each of them in "auths" with {}');
  } else if (store && store.type !== 'null')
    problems.push(`its credsStore is ignored: it is ${kindOf(store)} and should be a string`);

  const perRegistry = memberOf(root, 'credhelpers');
  if (perRegistry && perRegistry.type !== 'object' && perRegistry.type !== 'null')
    problems.push(`its credHelpers is ignored: it is ${kindOf(perRegistry)} and should be an object`);
  for (const [registry, suffix] of membersOf(perRegistry)) {
    const problem = hasUser(registry) ? nameProblem : suffixProblem(suffix);
    if (problem) problems.push(`the helper of ${showRegistry(registry)} is left out: ${problem}`);
    else requests.set(registry, String(suffix.value));
  }
  return [...requests].map(([registry, suffix]) => ({ registry, suffix }));
}

const nameProblem = 'its name holds a user name or password';

function suffixProblem(suffix: JsonNode): string | undefined {
  return suffix.type === 'string' ? undefined : `it is ${kindOf(suffix)} and should be a string`;
}

/** Reads one entry. `auth` wins over `username` and `password`, as in the kubelet. */
function readSourceEntry(
  registry: string,
  value: JsonNode,
  source: string,
): Entry | 'empty' | { readonly problem: string } {
  if (hasUser(registry)) return { problem: nameProblem };
  if (value.type !== 'object') return { problem: `it is ${kindOf(value)} and should be an object` };
  const fields = stringFields(value, ['auth', 'username', 'password', 'email', 'identitytoken']);
  if ('problem' in fields) return fields;
  const { username, password, identitytoken } = fields;
  const identityToken = identitytoken === '' ? undefined : new SecretText(identitytoken);
  if (fields.auth === '' && username === '' && password === '')
    return identityToken ? makeEntry({ registry, source, identityToken }) : 'empty';
  if (fields.auth === '' && username.includes(':')) return { problem: 'its "username" contains a colon' };
  const auth = fields.auth === '' ? encodeBasicAuth(username, password) : canonicalBasicAuth(fields.auth);
  if (!auth) return { problem: 'its "auth" is not the base64 of user:password' };
  // No runtime could be told of it: what the kubelet sends is text.
  if (!isUtf8(Buffer.from(auth.reveal(), 'base64'))) return { problem: 'its "auth" is not UTF-8 text' };
  return makeEntry({ registry, source, auth, ...(identityToken && { identityToken }) });
}
