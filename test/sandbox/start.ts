import { parseArgs } from 'node:util';
import { actions } from './actions.ts';
import { runAgentInForeground } from './agent-program.ts';
import { serveControl } from './control.ts';
import { type Demonstration, startDemonstration } from './demonstration.ts';
import { invitation } from './invitation.ts';
import { freePort } from './link.ts';
import { ensureRequirements, searchPath } from './requirements.ts';
import { sandboxDirectory } from './sandbox-directory.ts';
import { type RuntimeName, runtimeChoices } from './sandbox-runtime.ts';

// `npm start`: a sandbox node in SANDBOX_DIR or .sandbox, with the runtime of --sandbox-runtime, and the agent on it until
// Ctrl-C. All other arguments go to the agent.

const runtimeFlag = 'sandbox-runtime';

async function main(args: readonly string[]): Promise<number> {
  const interruption = watchForInterruption();
  const { runtime, agentArgs } = chooseRuntime(args);
  process.env.PATH = searchPath();
  await ensureRequirements(runtimeChoices[runtime].requirements);

  let demonstration: Demonstration | undefined;
  const control = await serveControl(sandboxDirectory, async ([name = '']) => {
    if (demonstration === undefined) throw new Error('The sandbox is still starting.');
    const action = actions[name];
    if (action === undefined) throw new Error(`The sandbox cannot ${name}.`);
    return await action.run(demonstration);
  });
  try {
    console.log(`\nA node made of real parts, in ${sandboxDirectory}`);
    demonstration = await startDemonstration(sandboxDirectory, runtime, stepReporter(), interruption.signal);
    const listen = listenFlag(agentArgs) ?? `127.0.0.1:${await freePort(9797)}`;
    if (!agentArgs.includes('--once')) console.log(invitation(listen, runtime));
    else console.log();
    interruption.signal.throwIfAborted();

    const agent = runAgentInForeground(demonstration.node, ['--listen', listen, ...agentArgs]);
    interruption.forwardTo(agent.kill);
    return exitStatus(await agent.ended);
  } finally {
    await demonstration?.node.stop();
    await control.close();
    console.log('The sandbox is stopped: nothing of it is running or mounted any more.');
  }
}

function exitStatus(ended: number | NodeJS.Signals): number {
  if (typeof ended === 'number') return ended;
  console.log(`\nThe agent was ended by ${ended}.`);
  return 1;
}

type Interruption = {
  /** Aborted at the first signal. */
  readonly signal: AbortSignal;
  /** From now on signals are somebody else's: the agent's, whose end is ours. */
  forwardTo(kill: (signal: NodeJS.Signals) => void): void;
};

function watchForInterruption(): Interruption {
  const abort = new AbortController();
  let handle = (signal: NodeJS.Signals) => abort.abort(new Error(`Interrupted by ${signal}.`));
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, signal => handle(signal));
  // The terminal was closed: an end like any other, but for the agent SIGHUP is none that it prepares for.
  process.on('SIGHUP', () => handle('SIGTERM'));
  return {
    signal: abort.signal,
    forwardTo(kill) {
      handle = kill;
    },
  };
}

function stepReporter(): (done: string) => void {
  let last = performance.now();
  return done => {
    const now = performance.now();
    console.log(`  ${((now - last) / 1000).toFixed(1).padStart(5)} s  ${done}`);
    last = now;
  };
}

/** Takes `--sandbox-runtime` out of the arguments; all others are the agent's. */
function chooseRuntime(args: readonly string[]): { runtime: RuntimeName; agentArgs: readonly string[] } {
  const options = { [runtimeFlag]: { type: 'string' } } as const;
  const { values, tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true });
  const own = new Set(
    tokens.flatMap(token => {
      if (token.kind !== 'option' || token.name !== runtimeFlag) return [];
      return token.inlineValue ? [token.index] : [token.index, token.index + 1];
    }),
  );
  const runtime = values[runtimeFlag] ?? 'containerd';
  if (!isRuntimeName(runtime)) {
    const given = typeof runtime === 'string' ? `, not "${runtime}"` : '';
    throw new Error(`--${runtimeFlag} is one of ${Object.keys(runtimeChoices).join(', ')}${given}`);
  }
  return { runtime, agentArgs: args.filter((_, index) => !own.has(index)) };
}

function isRuntimeName(value: string | boolean): value is RuntimeName {
  return typeof value === 'string' && Object.hasOwn(runtimeChoices, value);
}

function listenFlag(args: readonly string[]): string | undefined {
  const options = { listen: { type: 'string' } } as const;
  const { listen } = parseArgs({ args: [...args], options, strict: false }).values;
  return typeof listen === 'string' ? listen : undefined;
}

main(process.argv.slice(2)).then(
  status => {
    process.exitCode = status;
  },
  error => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  },
);
