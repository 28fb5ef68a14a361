import { SecretText } from '../base/secret-text.ts';
import { canonicalBasicAuth, decodeBasicAuth } from './basic-auth.ts';
import { type Credential, noCredential } from './credential.ts';
import type { DockerConfigForm } from './docker-config-text.ts';
import { isNamed, type JsonNode, kindOf, membersOf, parseJsonText, stringFields } from './json-text.ts';
import { showRegistry } from './shown-registry.ts';

/** What the kubelet makes of a docker config. */
export type KubeletReading =
  /** The credentials by the registry keys of the file, in its order. */
  | { readonly valid: true; readonly credentials: ReadonlyMap<string, Credential> }
  /** The kubelet drops the whole file without a word, and looks for the next one. */
  | { readonly valid: false; readonly problem: string };

/**
 * Reads a docker config as the kubelet of Kubernetes 1.32 to 1.36 does: with Go's decoder, and with one bad entry
 * voiding the whole file. Valid, and so hiding every later file, is also a file without any entry.
 * https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/credentialprovider/config.go
 */
export function readAsKubelet(text: string, form: DockerConfigForm = 'dockerconfigjson'): KubeletReading {
  const root = parseJsonText(text);
  if (root === undefined) return invalid('it is not JSON');
  if (root.type !== 'object' && root.type !== 'null')
    return invalid(`it is ${kindOf(root)} and should be an object`);
  const credentials = new Map<string, Credential>();
  if (form === 'dockercfg') return addEntries(root, credentials) ?? { valid: true, credentials };
  for (const [key, value] of membersOf(root)) {
    const fault = isNamed(key, 'auths') ? readAuths(value, credentials) : readOther(key, value);
    if (fault) return fault;
  }
  return { valid: true, credentials };
}

/** One entry as the kubelet reads it; `auth` wins over `username` and `password`. Null is an entry without anything. */
function readKubeletEntry(value: JsonNode): Credential | { readonly problem: string } {
  if (value.type === 'null') return noCredential;
  if (value.type !== 'object') return { problem: `it is ${kindOf(value)} and should be an object` };
  const fields = stringFields(value, ['auth', 'username', 'password', 'email']);
  if ('problem' in fields) return fields;
  const { auth, username, password } = fields;
  if (auth === '') return { username, password: new SecretText(password) };
  const canonical = canonicalBasicAuth(auth);
  return canonical
    ? decodeBasicAuth(canonical)
    : { problem: 'its "auth" is not the base64 of user:password' };
}

/** Whether an entry, given as raw JSON, makes the kubelet drop the whole file. */
export function isVoidingForKubelet(rawValue: string): boolean {
  const value = parseJsonText(rawValue);
  return value === undefined || 'problem' in readKubeletEntry(value);
}

function readAuths(auths: JsonNode, credentials: Map<string, Credential>): KubeletReading | undefined {
  // Go sets a map that is null to nothing; several that are not add up.
  if (auths.type === 'null') credentials.clear();
  else if (auths.type === 'object') return addEntries(auths, credentials);
  else return invalid(`its "auths" is ${kindOf(auths)} and should be an object`);
  return undefined;
}

function addEntries(entries: JsonNode, credentials: Map<string, Credential>): KubeletReading | undefined {
  for (const [registry, value] of membersOf(entries)) {
    const credential = readKubeletEntry(value);
    if ('problem' in credential)
      return invalid(`its entry ${showRegistry(registry)} is malformed: ${credential.problem}`);
    credentials.set(registry, credential);
  }
  return undefined;
}

/** The kubelet decodes the HTTP headers, too, and uses them for nothing. */
function readOther(key: string, value: JsonNode): KubeletReading | undefined {
  if (!isNamed(key, 'httpheaders') || value.type === 'null') return undefined;
  if (value.type !== 'object') return invalid(`its "${key}" is ${kindOf(value)} and should be an object`);
  const bad = membersOf(value).find(([, header]) => header.type !== 'string' && header.type !== 'null');
  return bad && invalid(`a header of its "${key}" is ${kindOf(bad[1])} and should be a string`);
}

function invalid(problem: string): KubeletReading {
  return { valid: false, problem };
}
