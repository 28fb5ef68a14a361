import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Status } from '../agent/status/status.ts';
import { cleanUp } from './sandbox/cleanup.ts';
import { dieWithStarter } from './sandbox/program.ts';
import { waitUntil } from './sandbox/wait-until.ts';

const main = fileURLToPath(new URL('../agent/main.ts', import.meta.url));

/** The real agent in a process of its own, as a node runs it. */
export type AgentProcess = {
  readonly pid: number;
  /** Everything it has written so far, by stream. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** The exit status, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  kill(signal: NodeJS.Signals): void;
  /** The body and status of one of its pages. */
  get(path: string): Promise<{ readonly status: number; readonly body: string }>;
  status(): Promise<Status>;
  /** Waits until `/readyz` answers 200. */
  untilReady(timeoutMs?: number): Promise<void>;
  /** Waits until `/readyz` answers 503 with a text that matches. */
  untilNotReady(text: RegExp, timeoutMs?: number): Promise<void>;
};

/** Starts the agent with these arguments; it is ended after the test, also if the test fails. */
export async function startAgent(
  test: TestContext,
  args: readonly string[],
  through: readonly string[] = [],
): Promise<AgentProcess> {
  const command = [...dieWithStarter('KILL'), ...through, process.execPath, main, ...args];
  const [file = '', ...rest] = command;
  const environment = { PATH: process.env.PATH, NODE_NAME: 'node-1' };
  const child = spawn(file, rest, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  await once(child, 'spawn');
  const output = { stdout: collect(child, 'stdout'), stderr: collect(child, 'stderr') };
  const ended = once(child, 'close').then(
    ([status, signal]) => (signal ?? status) as number | NodeJS.Signals,
  );
  cleanUp(test, async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return agentProcess(child, ended, output);
}

/** The flags of an agent on a sandbox node, listening on a free port. */
export function flagsFor(
  node: { readonly secretsDir: string; readonly configFile: string; readonly hostRoot: string },
  ...more: readonly string[]
): readonly string[] {
  const { secretsDir, configFile, hostRoot } = node;
  const flags = ['--secrets', secretsDir, '--config', configFile, '--host-root', hostRoot];
  return ['run', ...flags, '--listen', '127.0.0.1:0', '--log-level', 'trace', ...more];
}

function agentProcess(
  child: ChildProcess,
  ended: AgentProcess['ended'],
  { stdout, stderr }: { stdout: () => string; stderr: () => string },
): AgentProcess {
  const get = async (path: string) => {
    const [, url] = /status at (http:[^"\s]+)/.exec(stdout()) ?? [];
    if (!url) throw new Error(`the agent does not listen yet: ${stdout()}${stderr()}`);
    const response = await fetch(new URL(path, url), { signal: AbortSignal.timeout(2_000) });
    return { status: response.status, body: await response.text() };
  };
  let last = '';
  const readiness = async (status: number, text: RegExp) => {
    const answer = await get('/readyz');
    last = answer.body;
    return answer.status === status && text.test(answer.body);
  };
  const until = (status: number, text: RegExp, timeoutMs: number) =>
    waitUntil(() => readiness(status, text), { what: `/readyz ${status} ${text}`, timeoutMs }).catch(
      cause => {
        throw new Error(`/readyz said last: ${last}\n${stdout()}${stderr()}`, { cause });
      },
    );
  return {
    pid: child.pid ?? 0,
    stdout,
    stderr,
    ended,
    kill: signal => void child.kill(signal),
    get,
    status: async () => JSON.parse((await get('/status')).body),
    untilReady: (timeoutMs = 20_000) => until(200, /^ready/, timeoutMs),
    untilNotReady: (text, timeoutMs = 20_000) => until(503, text, timeoutMs),
  };
}

function collect(child: ChildProcess, name: 'stdout' | 'stderr'): () => string {
  const chunks: Buffer[] = [];
  child[name]?.on('data', chunk => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString('utf8');
}
