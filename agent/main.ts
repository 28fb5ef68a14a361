import { messageOf } from './base/failure.ts';
import { clean } from './commands/clean.ts';
import { run } from './commands/run.ts';
import { parseSettings, type SettingDescription, settingNames, settingTable } from './settings.ts';
import { version } from './version.ts';

const commands = ['run', 'clean'];

const laterCommands = ['status', 'check', 'plan'];

/** The process edge: command, settings, signals, exit status. Nothing else reads the arguments or ends the process. */
async function main(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const [command, ...rest] = args;
  if (command === undefined || command === 'help' || args.includes('--help') || args.includes('-h')) {
    (command === undefined ? process.stderr : process.stdout).write(usage());
    return command === undefined ? 2 : 0;
  }
  if (command === 'version' || command === '--version') {
    process.stdout.write(`pullready ${version}\n`);
    return 0;
  }
  const there = `there are ${commands.join(' and ')}`;
  if (laterCommands.includes(command))
    return refuse([`the command ${command} is not part of this version yet; ${there}`]);
  if (!commands.includes(command)) return refuse([`unknown command ${JSON.stringify(command)}; ${there}`]);
  const parsed = parseSettings(rest, environment);
  if (!parsed.ok) return refuse(parsed.problems);
  if (command === 'clean') return clean(parsed.settings);
  return run(parsed.settings, environment, shutdownSignal());
}

function refuse(problems: readonly string[]): number {
  process.stderr.write(
    `${problems.map(problem => `pullready: ${problem}`).join('\n')}\nSee pullready --help.\n`,
  );
  return 2;
}

/** Aborts at the first SIGTERM or SIGINT; a second one ends the process at once. */
function shutdownSignal(): AbortSignal {
  const shutdown = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => {
    if (shutdown.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143);
    shutdown.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return shutdown.signal;
}

function usage(): string {
  const flags = settingNames.map(name => {
    const { placeholder, fallback, meaning }: SettingDescription = settingTable[name];
    const flag = `--${name}${placeholder ? ` ${placeholder}` : ''}`;
    return `  ${flag.padEnd(22)} ${meaning}${placeholder ? ` (default: ${fallback})` : ''}`;
  });
  return [
    'pullready keeps the registry credentials of a Kubernetes node fresh and its images warm.',
    '',
    'Usage: pullready COMMAND [flags]',
    '',
    '  run                    the agent: converge, then watch until SIGTERM',
    '  clean                  take everything of pullready out of the node again, and put back what was there',
    '',
    ...flags,
    '',
    'Every flag is also an environment variable (--host-root is PULLREADY_HOST_ROOT); the flag wins.',
    'NODE_NAME is the name of the node. Exit status: 0 done, 1 not reached or failed, 2 unusable flags or config.',
    '',
  ].join('\n');
}

// Output that nobody takes any more must not end the agent.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

try {
  process.exitCode = await main(process.argv.slice(2), process.env);
} catch (error) {
  process.stderr.write(`pullready: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
// Whatever a library still waits for, the work is done; everything was written synchronously.
process.exit();
