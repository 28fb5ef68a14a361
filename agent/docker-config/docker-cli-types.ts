import { isNamed, type JsonNode, kindOf, membersOf, stringFields } from './json-text.ts';

/** Says what is wrong with a value: `is a number and should be a string`; undefined if nothing is. */
type Check = (value: JsonNode) => string | undefined;

/** The fields of an entry; docker's CLI decodes them all, whatever it needs. */
const entryFields = [
  'auth',
  'username',
  'password',
  'email',
  'serveraddress',
  'identitytoken',
  'registrytoken',
] as const;

const proxyFields = ['httpproxy', 'httpsproxy', 'noproxy', 'ftpproxy', 'allproxy'] as const;

const text: Check = value =>
  value.type === 'string' || value.type === 'null' ? undefined : `is ${kindOf(value)} and should be a string`;

/** One value of the wrong type, also in a field that has nothing to do with registries, makes docker drop the file. */
const checks: Readonly<Record<string, Check>> = {
  auths: mapOf(record(entryFields)),
  credHelpers: mapOf(text),
  credsStore: text,
  HttpHeaders: mapOf(text),
  aliases: mapOf(text),
  features: mapOf(text),
  plugins: mapOf(mapOf(text)),
  proxies: mapOf(record(proxyFields)),
  pruneFilters: listOf(text),
  cliPluginsExtraDirs: listOf(text),
  currentContext: text,
  detachKeys: text,
  experimental: text,
  configFormat: text,
  imagesFormat: text,
  networksFormat: text,
  nodesFormat: text,
  pluginsFormat: text,
  psFormat: text,
  secretFormat: text,
  serviceInspectFormat: text,
  servicesFormat: text,
  statsFormat: text,
  tasksFormat: text,
  volumesFormat: text,
};

/**
 * The field of a docker config that docker's CLI takes the key for, and what is wrong with the type of its value.
 * https://github.com/docker/cli/blob/v28.5.2/cli/config/configfile/file.go (ConfigFile)
 */
export function checkField(
  key: string,
  value: JsonNode,
): { readonly name?: string; readonly problem?: string } {
  for (const [name, check] of Object.entries(checks)) {
    if (!isNamed(key, name.toLowerCase())) continue;
    const problem = check(value);
    return problem === undefined ? { name } : { name, problem: `its "${name}" ${problem}` };
  }
  return {};
}

function listOf(check: Check): Check {
  return value => {
    if (value.type === 'null') return undefined;
    if (value.type !== 'array') return `is ${kindOf(value)} and should be a list`;
    return firstProblem(
      (value.children ?? []).map((item, index) => [`item ${index + 1}`, item]),
      check,
    );
  };
}

function mapOf(check: Check): Check {
  return value => {
    if (value.type === 'null') return undefined;
    if (value.type !== 'object') return `is ${kindOf(value)} and should be an object`;
    return firstProblem(
      membersOf(value).map(([name, item]) => [JSON.stringify(name), item]),
      check,
    );
  };
}

function record(names: readonly string[]): Check {
  return value => {
    if (value.type === 'null') return undefined;
    if (value.type !== 'object') return `is ${kindOf(value)} and should be an object`;
    const fields = stringFields(value, names);
    return 'problem' in fields ? `is malformed: ${fields.problem}` : undefined;
  };
}

function firstProblem(items: readonly (readonly [string, JsonNode])[], check: Check): string | undefined {
  for (const [name, item] of items) {
    const problem = check(item);
    if (problem !== undefined) return `holds ${name}, which ${problem}`;
  }
  return undefined;
}
