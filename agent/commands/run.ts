import { runAgent } from '../agent.ts';
import { wait } from '../base/bell.ts';
import { createLog } from '../base/log.ts';
import { Terminal } from '../base/terminal.ts';
import { readConfig } from '../config-file.ts';
import type { Settings } from '../settings.ts';
import type { Status } from '../status/status.ts';
import { formatProgress, formatSummary } from '../status/summary.ts';
import { isSettled } from '../status/settled.ts';

/** How often the progress line is redrawn at most, in milliseconds. */
const redrawMilliseconds = 200;

/**
 * The agent: converges, then watches until `signal` aborts. With `--once` it ends when the node is as it should be or
 * cannot be brought there, and prints a summary. Returns the exit status.
 */
export async function run(settings: Settings, environment: NodeJS.ProcessEnv, signal: AbortSignal): Promise<number> {
  const terminal = new Terminal(process.stdout);
  const log = createLog({
    level: settings['log-level'],
    format: settings['log-format'],
    terminal: terminal.isTerminal,
    writeLine: line => terminal.write(line),
  });
  if (settings.once) {
    const { config, problems } = await readConfig(settings.config);
    if (!config) {
      for (const problem of problems) log.error(`config: ${problem}`);
      return 2;
    }
  }
  const settled = new AbortController();
  const ends = AbortSignal.any([signal, settled.signal]);
  let latest: (() => Status) | undefined;
  let drawAt = 0;
  const startedAt = Date.now();
  const onStatus = (status: () => Status) => {
    latest = status;
    if (terminal.isTerminal && Date.now() >= drawAt) {
      drawAt = Date.now() + redrawMilliseconds;
      terminal.showStatus(formatProgress(status().images));
    }
    if (settings.once && isSettled(status(), Date.now() - startedAt)) settled.abort();
  };
  await runAgent({ settings, log, nodeName: environment.NODE_NAME, onStatus }, ends);
  terminal.showStatus('');
  if (!settings.once || !latest) return signal.aborted || !settings.once ? 0 : 1;
  return 0;
}
