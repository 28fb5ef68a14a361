import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { actions } from './actions.ts';
import { runAgentInForeground } from './agent-program.ts';
import { serveControl } from './control.ts';
import { type Demonstration, startDemonstration } from './demonstration.ts';
import { freePort } from './link.ts';
import { ensureRequirements, sandboxRequirements } from './requirements.ts';

// `npm start`: a sandbox node in .sandbox and the agent on it, until Ctrl-C. Arguments go to the agent.

const project = join(import.meta.dirname, '../..');
const directory = join(project, '.sandbox');

async function main(agentArgs: readonly string[]): Promise<number> {
  const interruption = watchForInterruption();
  await ensureRequirements(sandboxRequirements);

  let demonstration: Demonstration | undefined;
  const control = await serveControl(directory, async ([name = '']) => {
    if (demonstration === undefined) throw new Error('The sandbox is still starting.');
    const action = actions[name];
    if (action === undefined) throw new Error(`The sandbox cannot ${name}.`);
    return await action.run(demonstration);
  });
  try {
    console.log(`\nA node made of real parts, in ${directory}`);
    demonstration = await startDemonstration(directory, stepReporter(), interruption.signal);
    const listen = listenFlag(agentArgs) ?? `127.0.0.1:${await freePort(9797)}`;
    console.log(invitation(listen));
    interruption.signal.throwIfAborted();

    const agent = runAgentInForeground(project, demonstration.node, ['--listen', listen, ...agentArgs]);
    interruption.forwardTo(agent.kill);
    return await agent.ended;
  } finally {
    await demonstration?.node.stop();
    await control.close();
    console.log('The sandbox is stopped: nothing of it is running or mounted any more.');
  }
}

type Interruption = {
  /** Aborted at the first signal. */
  readonly signal: AbortSignal;
  /** From now on signals are somebody else's: the agent's, whose end is ours. */
  forwardTo(kill: (signal: NodeJS.Signals) => void): void;
};

function watchForInterruption(): Interruption {
  const abort = new AbortController();
  let handle = (signal: NodeJS.Signals) => abort.abort(new Error(`interrupted by ${signal}`));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, signal => handle(signal));
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

function listenFlag(args: readonly string[]): string | undefined {
  const options = { listen: { type: 'string' } } as const;
  const { listen } = parseArgs({ args: [...args], options, strict: false }).values;
  return typeof listen === 'string' ? listen : undefined;
}

function invitation(listen: string): string {
  const tries = Object.entries(actions).map(([name, { meaning }]) => row(`npm run try -- ${name}`, meaning));
  const ctr = 'ctr -a .sandbox/node/run/containerd/containerd.sock -n k8s.io images ls -q';
  return `
The agent runs now. To try from a second terminal, in ${project}:

${tries.join('\n')}

${row(`curl http://${listen}/status`, 'what the agent has and lacks; / is a page, /readyz, /metrics')}
${row('cat .sandbox/node/var/lib/kubelet/config.json', 'what the kubelet would read')}
${row(ctr, "the images in the node's containerd")}

Ctrl-C stops everything.
`;
}

function row(command: string, meaning: string): string {
  return `  ${command.padEnd(48)} ${meaning}`;
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
