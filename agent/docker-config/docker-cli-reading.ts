import { SecretText } from '../base/secret-text.ts';
import { canonicalBasicAuth, decodeBasicAuth } from './basic-auth.ts';
import type { IdentityToken } from './credential.ts';
import { checkField } from './docker-cli-types.ts';
import { type JsonNode, membersOf, parseJsonStart, stringFields } from './json-text.ts';
import { parseUrl } from './registry-key.ts';
import { showRegistry } from './shown-registry.ts';

/** Where docker's CLI takes the credential of a registry host from. */
type DockerAnswer =
  | { readonly kind: 'entry'; readonly registry: string; readonly identityToken: IdentityToken | undefined }
  /** It asks this credential helper and never looks at the entries, also if the helper knows nothing. */
  | { readonly kind: 'helper'; readonly helper: string; readonly setting: 'credHelpers' | 'credsStore' }
  /** It pulls without any credential. */
  | { readonly kind: 'none' };

/** What docker's CLI makes of a docker config. */
export type DockerReading =
  | { readonly valid: true; answer(host: string): DockerAnswer }
  /** It warns that it cannot read the file, and goes on as if there were none. */
  | { readonly valid: false; readonly problem: string };

type Settings = {
  readonly auths: Map<string, JsonNode>;
  readonly credHelpers: Map<string, string>;
  credsStore: string;
};

/** The key under which docker's CLI keeps what is for Docker Hub. */
const dockerHubKey = 'https://index.docker.io/v1/';

/**
 * Reads a docker config as docker's CLI does: stricter with an entry than the kubelet (padded base64, a user name),
 * without globs and paths, and with helpers before entries. What follows the document it does not read.
 * https://github.com/docker/cli/blob/v28.5.2/cli/config/configfile/file.go
 */
export function readAsDocker(text: string): DockerReading {
  const settings: Settings = { auths: new Map(), credHelpers: new Map(), credsStore: '' };
  const root = parseJsonStart(text);
  if (/[^ \t\r\n]/.test(text)) {
    if (root?.type !== 'object' && root?.type !== 'null') return invalid('it is no JSON object');
    for (const [key, value] of membersOf(root)) {
      const { name, problem } = checkField(key, value);
      if (problem) return invalid(problem);
      take(name, value, settings);
    }
  }
  // Only now, as docker's CLI does it: an entry that a later one has replaced may hold any "auth".
  for (const [registry, value] of settings.auths) {
    const problem = authProblem(value);
    if (problem) return invalid(`its entry ${showRegistry(registry)} is malformed for docker: ${problem}`);
  }
  // The first of a host; docker's CLI takes any, in the random order of Go's maps.
  const keys = [...settings.auths.keys()].toReversed();
  const byHost = new Map(keys.map(registry => [hostOfKey(registry), registry]));
  return { valid: true, answer: host => answerFor(host, settings, byHost) };
}

function answerFor(
  host: string,
  { auths, credHelpers, credsStore }: Settings,
  byHost: ReadonlyMap<string, string>,
): DockerAnswer {
  const key = ['docker.io', 'index.docker.io'].includes(host) ? dockerHubKey : host;
  const named = credHelpers.get(key);
  const helper = named ?? credsStore;
  // A helper that is named and empty turns the general one off.
  if (helper) return { kind: 'helper', helper, setting: named ? 'credHelpers' : 'credsStore' };
  const registry = auths.has(key) ? key : byHost.get(key);
  const entry = registry === undefined ? undefined : auths.get(registry);
  if (registry === undefined || entry === undefined) return { kind: 'none' };
  return { kind: 'entry', registry, identityToken: identityTokenOf(entry) };
}

function identityTokenOf(entry: JsonNode): IdentityToken | undefined {
  const fields = stringFields(entry, ['identitytoken']);
  if ('problem' in fields || fields.identitytoken === '') return undefined;
  return { identityToken: new SecretText(fields.identitytoken) };
}

/**
 * The host for which docker's CLI uses a key that it does not find to the letter: its path does not count.
 * https://github.com/docker/cli/blob/v28.5.2/cli/config/credentials/file_store.go (ConvertToHostname)
 */
export function hostOfKey(registry: string): string {
  const [, rest] = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/(.*)$/s.exec(registry) ?? [];
  const [, name = '', port = ''] = /^(.*?)(?::(\d*))?$/s.exec(parseUrl(rest ?? '')?.host ?? '') ?? [];
  const bare = name.replace(/^\[(.*)\]$/s, '$1');
  if (bare === '') return registry.split('/', 1)[0] ?? '';
  if (port === '') return bare;
  return bare.includes(':') ? `[${bare}]:${port}` : `${bare}:${port}`;
}

/** Whether an entry, given as raw JSON, makes docker's CLI drop the whole file. */
export function isVoidingForDocker(rawValue: string): boolean {
  return !readAsDocker(`{"auths": {"entry": ${rawValue}}}`).valid;
}

/** What is wrong with the `auth` of an entry, which is of the right type; undefined if nothing is. */
function authProblem(entry: JsonNode): string | undefined {
  const fields = stringFields(entry, ['auth']);
  if ('problem' in fields || fields.auth === '') return undefined;
  const auth = canonicalBasicAuth(fields.auth);
  const padded = fields.auth.replace(/[\r\n]/g, '').length % 4 === 0;
  if (!auth || !padded) return 'its "auth" is not the padded base64 of user:password';
  return decodeBasicAuth(auth).username === '' ? 'its "auth" has no user name' : undefined;
}

function take(name: string | undefined, value: JsonNode, settings: Settings): void {
  const { auths, credHelpers } = settings;
  if (name === 'credsStore' && value.type === 'string') settings.credsStore = String(value.value);
  if (name === 'auths') {
    // Go sets a map that is null to nothing; several that are not add up.
    if (value.type === 'null') auths.clear();
    for (const [registry, entry] of membersOf(value)) auths.set(registry, entry);
  }
  if (name === 'credHelpers') {
    if (value.type === 'null') credHelpers.clear();
    for (const [host, helper] of membersOf(value)) credHelpers.set(host, String(helper.value ?? ''));
  }
}

function invalid(problem: string): DockerReading {
  return { valid: false, problem };
}
