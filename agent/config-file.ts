import { dirname } from 'node:path';
import { Bell } from './base/bell.ts';
import { codeOf, messageOf } from './base/failure.ts';
import { fileFailure } from './base/file-failure.ts';
import type { Logger } from './base/log.ts';
import { readTextFile } from './base/read-text-file.ts';
import { DirectoryWatch } from './base/watch.ts';
import { type Config, defaultConfig, parseConfig } from './config.ts';

/** The config in force, and what is wrong with the file if it cannot be used now. */
export type ConfigState = {
  /** The last good config; undefined while there never was one. */
  readonly config: Config | undefined;
  /** Each as `FILE:LINE:COLUMN: what was expected`, or why the file cannot be read. */
  readonly problems: readonly string[];
};

/** What the config flow works on and whom it tells. */
export type ConfigFlowOptions = {
  readonly file: string;
  /** Called after the first look and after every one that found something new. */
  readonly report: (state: ConfigState) => void;
  readonly log: Logger;
  /** How often the file is looked at without a hint, in milliseconds. */
  readonly lookEvery?: number;
};

/** Reads the config once. A file that is not there means the default config; a bad one keeps `last` in force. */
export async function readConfig(file: string, last?: Config): Promise<ConfigState> {
  let text: string | undefined;
  try {
    text = await readMounted(file);
  } catch (error) {
    return { config: last, problems: [fileFailure(`reading the config ${file}`, error).message] };
  }
  if (text === undefined) return { config: defaultConfig, problems: [] };
  const parsed = parseConfig(text);
  if (parsed.ok) return { config: parsed.config, problems: [] };
  const problems = parsed.problems.map(
    ({ line, column, message }) => `${file}:${line}:${column}: ${message}`,
  );
  return { config: last, problems };
}

/**
 * Reads a file of a mounted volume; undefined if there is none. The kubelet removes the old content right after it
 * renamed the link to the new one, and a file that is on the way to be opened just then seems to be missing: it is
 * missing only if that is so several times in a row.
 */
async function readMounted(file: string): Promise<string | undefined> {
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      return await readTextFile(file);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }
  return undefined;
}

/** Follows the config file until `signal` aborts. */
export async function followConfig(options: ConfigFlowOptions, signal: AbortSignal): Promise<void> {
  const { file, report, log, lookEvery = 10_000 } = options;
  const bell = new Bell();
  const watch = new DirectoryWatch({
    depth: 0,
    onHint: () => bell.ring(),
    onError: error =>
      log.warn(`watching the config failed, it is looked at now and then: ${messageOf(error)}`),
  });
  let last: ConfigState | undefined;
  try {
    while (!signal.aborted) {
      await watch.follow([dirname(file)]);
      const state = await readConfig(file, last?.config);
      if (JSON.stringify(state) !== JSON.stringify(last)) report(state);
      last = state;
      await bell.heard(lookEvery, signal);
    }
  } finally {
    await watch.close();
  }
}
