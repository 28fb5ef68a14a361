import { runAgent } from '../agent.ts';
import { createLog, type Logger } from '../base/log.ts';
import { Terminal } from '../base/terminal.ts';
import { readConfig } from '../config-file.ts';
import type { Settings } from '../settings.ts';
import type { Board } from '../status/board.ts';
import { isSettled, onceStatus } from '../status/settled.ts';
import { toStatus } from '../status/status.ts';
import { formatProgress, formatSummary } from '../status/summary.ts';

/**
 * The agent: converges, then watches until `signal` aborts. With `--once` it ends when the node is as it should be or
 * waiting would not change that, and prints a summary; without it, a person at a terminal gets the summary once, when
 * that point is first reached. Returns the exit status.
 */
export async function run(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const terminal = new Terminal(process.stdout);
  const log = createLog({
    level: settings['log-level'],
    format: settings['log-format'],
    terminal: terminal.isTerminal,
    writeLine: line => terminal.write(line),
  });
  if (settings.once && !(await hasUsableConfig(settings.config, log))) return 2;

  let board: (() => Board) | undefined;
  let settled = false;
  const ended = new AbortController();
  const startedAt = Date.now();
  // A look at the clock, so that the progress line moves and `--once` ends also while nothing changes. Nobody else needs
  // it, and the status of thousands of entries is not made for nothing.
  const isWatched = settings.once || terminal.isTerminal;
  const tick = () => {
    if (!board) return;
    terminal.showStatus(formatProgress(toStatus(board()).images));
    if (settled || !isSettled(board(), Date.now() - startedAt)) return;
    settled = true;
    if (settings.once) ended.abort();
    else terminal.write(formatSummary(toStatus(board())));
  };
  const ticking = isWatched ? setInterval(tick, 200) : undefined;
  try {
    const onStart = (read: () => Board) => {
      board = read;
    };
    const agent = { settings, log, nodeName: environment.NODE_NAME, onStart };
    await runAgent(agent, AbortSignal.any([signal, ended.signal]));
  } finally {
    clearInterval(ticking);
    terminal.showStatus('');
  }
  if (!settings.once || !board) return 0;
  // With a log for machines on standard output, the summary for a person goes where only a person looks.
  (settings['log-format'] === 'json' ? process.stderr : process.stdout).write(
    formatSummary(toStatus(board())),
  );
  return signal.aborted ? 1 : onceStatus(board());
}

async function hasUsableConfig(file: string, log: Logger): Promise<boolean> {
  const { config, problems } = await readConfig(file);
  for (const problem of problems) log.error(`config: ${problem}`);
  return config !== undefined;
}
