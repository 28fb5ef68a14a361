import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';

/** What one flag accepts and means; `--help`, the README and the manifests are held against this table. */
export type SettingDescription = {
  /** How the value is written in `--help`; a flag without one is a switch. */
  readonly placeholder?: string;
  /** The value when neither the flag nor the environment variable is given. */
  readonly fallback: string;
  readonly meaning: string;
  readonly schema: z.ZodType;
};

const localPath = z
  .string()
  // An empty variable would be the directory that we happen to run in.
  .min(1, 'expected a path')
  .transform(path => resolve(path));

const nodePath = z
  .string()
  .regex(/^\//, 'expected an absolute path on the node')
  .transform(path => resolve(path));

const listenAddress = z
  .string()
  .refine(isListenAddress, 'expected HOST:PORT (such as 0.0.0.0:9797 or [::]:9797) or none');

const runtimeUri = z
  .string()
  .refine(
    value => value === 'auto' || value === 'none' || /^unix:\/\/\/./.test(value),
    'expected auto, none or unix:///path/of/the.sock',
  );

/** Every setting of the agent, in the order in which `--help` lists them. */
export const settingTable = {
  secrets: {
    placeholder: 'DIR',
    fallback: '/etc/pullready/secrets',
    meaning: 'one directory per mounted Secret, or itself one',
    schema: localPath,
  },
  config: {
    placeholder: 'FILE',
    fallback: '/etc/pullready/config/config.yaml',
    meaning: 'the config; absent means no images and all defaults',
    schema: localPath,
  },
  'host-root': {
    placeholder: 'DIR',
    fallback: '/host',
    meaning: "the node's root as mounted here; prefix of every path on the node",
    schema: localPath,
  },
  helpers: {
    placeholder: 'DIR',
    fallback: '/opt/pullready/helpers',
    meaning: 'where docker-credential-* programs are looked for, and nowhere else',
    schema: localPath,
  },
  'state-dir': {
    placeholder: 'DIR',
    fallback: '/var/lib/pullready',
    meaning: 'on the node: ownership record, displaced values, control socket',
    schema: nodePath,
  },
  runtime: {
    placeholder: 'URI',
    fallback: 'auto',
    meaning:
      'unix:///... of a CRI or docker socket on the node; auto probes the known places; none for credentials only',
    schema: runtimeUri,
  },
  listen: {
    placeholder: 'ADDR',
    fallback: '0.0.0.0:9797',
    meaning: 'health, metrics and status over HTTP; none for none',
    schema: listenAddress,
  },
  once: {
    fallback: 'false',
    meaning: 'converge, print a summary, exit 0 or 1',
    schema: z
      .enum(['true', 'false'], { error: 'expected true or false' })
      .transform(value => value === 'true'),
  },
  'log-level': {
    placeholder: 'LEVEL',
    fallback: 'info',
    meaning: 'trace, debug, info, warn, error or fatal',
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], {
      error: 'expected trace, debug, info, warn, error or fatal',
    }),
  },
  'log-format': {
    placeholder: 'FORMAT',
    fallback: 'auto',
    meaning: 'json or pretty; auto is pretty on a terminal',
    schema: z.enum(['auto', 'json', 'pretty'], { error: 'expected auto, json or pretty' }),
  },
} as const satisfies Record<string, SettingDescription>;

/** The name of a flag, without its dashes. */
export type SettingName = keyof typeof settingTable;

/** The value of every setting, by the name of its flag. */
export type Settings = {
  readonly [Name in SettingName]: z.output<(typeof settingTable)[Name]['schema']>;
};

/** What the command line and the environment together say: settings, or every complaint about them. */
export type ParsedSettings =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly problems: readonly string[] };

/** The environment variable of a flag: `host-root` is `PULLREADY_HOST_ROOT`. */
export function environmentName(name: SettingName): string {
  return `PULLREADY_${name.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * Reads the settings from `args` (without the command) and `environment`; a flag wins over its variable.
 * Unknown flags and bad values are all reported together. Unknown `PULLREADY_` variables are no fault: Kubernetes
 * itself sets some (`PULLREADY_SERVICE_HOST`) in every pod of a namespace that has a Service named pullready.
 */
export function parseSettings(args: readonly string[], environment: NodeJS.ProcessEnv): ParsedSettings {
  const problems: string[] = [];
  const flags = readFlags(args, problems);

  const settings: Record<string, unknown> = {};
  for (const name of settingNames) {
    const description: SettingDescription = settingTable[name];
    const [value, origin] = rawValue(name, flags, environment);
    const parsed = description.schema.safeParse(value);
    if (parsed.success) settings[name] = parsed.data;
    else problems.push(`${origin}: ${parsed.error.issues[0]?.message}, got ${JSON.stringify(value)}`);
  }
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, settings: Object.freeze(settings) as Settings };
}

/** The names of all settings, in the order of the table. */
export const settingNames = Object.keys(settingTable) as readonly SettingName[];

function rawValue(
  name: SettingName,
  flags: ReadonlyMap<string, string>,
  environment: NodeJS.ProcessEnv,
): readonly [value: string, origin: string | undefined] {
  const flag = flags.get(name);
  if (flag !== undefined) return [flag, `--${name}`];
  const variable = environment[environmentName(name)];
  if (variable !== undefined) return [variable, environmentName(name)];
  return [settingTable[name].fallback, undefined];
}

function readFlags(args: readonly string[], problems: string[]): Map<string, string> {
  const options = Object.fromEntries(
    settingNames.map(name => [name, { type: isSwitch(name) ? 'boolean' : 'string' } as const]),
  );
  // Not strict: parseArgs would stop at the first fault, and all of them are wanted.
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const flags = new Map<string, string>();
  for (const token of tokens) {
    if (token.kind === 'positional') problems.push(`unexpected argument ${JSON.stringify(token.value)}`);
    if (token.kind !== 'option') continue;
    if (!isSettingName(token.name)) problems.push(`unknown flag ${token.rawName}`);
    else if (isSwitch(token.name)) flags.set(token.name, token.value ?? 'true');
    else if (isGiven(token.value, token.inlineValue)) flags.set(token.name, token.value);
    else problems.push(`${token.rawName}: expected a value (${token.rawName} ${placeholder(token.name)})`);
  }
  return flags;
}

/** False also for a flag that follows: parseArgs, when it is not strict, takes that for the value. */
function isGiven(value: string | undefined, inline: boolean | undefined): value is string {
  return value !== undefined && value !== '' && (inline === true || !value.startsWith('-'));
}

function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(settingTable, name);
}

function isSwitch(name: SettingName): boolean {
  return placeholder(name) === undefined;
}

function placeholder(name: SettingName): string | undefined {
  const description: SettingDescription = settingTable[name];
  return description.placeholder;
}

function isListenAddress(value: string): boolean {
  if (value === 'none') return true;
  const port = /^(?:\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(value)?.[1];
  return port !== undefined && Number(port) <= 65535;
}
