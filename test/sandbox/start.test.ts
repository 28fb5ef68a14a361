import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { sandboxImages } from './sandbox-images.ts';
import { waitUntil } from './wait-until.ts';

const options = { timeout: 40_000 };

describe('npm start', { timeout: 150_000 }, () => {
  let directory: string;
  let firstRunMs: number;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pullready-start-'));
  });

  // Whatever a test that failed has left must not fail the next one.
  afterEach(async () => {
    for (const pid of await processesOf(directory)) process.kill(pid, 'SIGKILL');
    await nothingLeft();
  });

  after(() => rm(directory, { recursive: true }));

  it('--once makes a new node ready, prints the summary and ends with status 0', options, async () => {
    const startedAt = performance.now();
    const { status, output } = await start('--once').ended;
    firstRunMs = performance.now() - startedAt;

    assert.equal(status, 0, output);
    assert.match(output, /sandbox is ready/);
    assertInSummary(output, 'pulled');
    assert.equal((await pullRequests()).length, sandboxImages.length);
    await nothingLeft(0);
  });

  it('a second start takes a fraction of the time and pulls nothing', options, async () => {
    const startedAt = performance.now();
    const { status, output } = await start('--once').ended;

    assert.equal(status, 0, output);
    assertInSummary(output, 'was there');
    assert.deepEqual(await pullRequests(), []);
    const share = (performance.now() - startedAt) / firstRunMs;
    assert.ok(share < 0.5, `it took ${share} of the first start's time`);
  });

  it(
    'everything that it proposes to try shows on the node, until Ctrl-C stops all of it',
    options,
    async () => {
      const sandbox = start();
      await isReady(sandbox);
      assert.ok((await mountingProcesses()).length > 0, 'containerd mounts the directory for itself');

      const refused = await start().ended;
      assert.equal(refused.status, 1);
      assert.match(
        refused.output,
        new RegExp(`running in ${directory} already \\(process ${sandbox.pid}\\)`),
      );

      const before = await kubeletConfig();
      await act('rotate-password');
      await waitUntil(async () => (await kubeletConfig()) !== before, waiting('the new password'));
      await act('add-image');
      await waitUntil(async () => /team-a\/report/.test(await imagesOnNode()), waiting('the added image'));
      await act('remove-image');
      await waitUntil(
        async () => !(await page(sandbox, 'status')).includes('team-a/hello'),
        waiting('the agent to let go of the removed image'),
      );

      await breakAndMend(sandbox, 'break-secret', 'mend-secret');
      await breakAndMend(sandbox, 'stop-runtime', 'start-runtime');
      // Last of all, so that nothing but the agent's periodic look brings it back.
      await act('delete-image');
      assert.doesNotMatch(await imagesOnNode(), /team-a\/web:/);
      await waitUntil(async () => /team-a\/web:/.test(await imagesOnNode()), waiting('the deleted image'));

      sandbox.kill('SIGINT');
      const { status, output } = await sandbox.ended;
      assert.equal(status, 0, output);
      assert.match(output, /The sandbox is stopped/);
      await nothingLeft(0);
    },
  );

  it(
    'with --sandbox-runtime docker the same node has docker, and the agent warms that',
    options,
    async () => {
      const sandbox = start('--sandbox-runtime', 'docker');
      await isReady(sandbox);
      const { runtime } = JSON.parse(await page(sandbox, 'status'));
      assert.deepEqual([runtime.name, runtime.endpoint], ['docker', 'unix:///run/docker.sock']);
      assert.match(sandbox.output(), /docker -H unix:\/\/\S+\/run\/docker\.sock images/);
      await breakAndMend(sandbox, 'stop-runtime', 'start-runtime');
      await act('delete-image');
      assert.doesNotMatch(await dockerImages(), /\/team-a\/web\n/);
      await waitUntil(
        async () => (await dockerImages()).includes('/team-a/web\n'),
        waiting('the deleted image'),
      );
      sandbox.kill('SIGINT');
      assert.equal((await sandbox.ended).status, 0);
      await nothingLeft(0);
    },
  );

  it('a runtime that it does not have is refused before anything is started', options, async () => {
    const { status, output } = await start('--sandbox-runtime=rkt').ended;
    assert.equal(status, 1);
    assert.match(output, /--sandbox-runtime is one of containerd, docker, not "rkt"/);
  });

  it(
    'a sandbox that is killed takes all its processes with it, and can be started again',
    options,
    async () => {
      const sandbox = start();
      await isReady(sandbox);
      const processes = await processesOf(directory);
      assert.ok(processes.length >= 4, 'the sandbox, the agent, containerd and docker-registry');

      sandbox.kill('SIGKILL');
      await sandbox.ended;
      await nothingLeft();

      const { status, output } = await start('--once').ended;
      assert.equal(status, 0, output);
    },
  );

  function start(...args: readonly string[]): Sandbox {
    return sandboxProcess(directory, args);
  }

  async function act(action: string): Promise<void> {
    const file = join(import.meta.dirname, 'try.ts');
    const env = { ...process.env, SANDBOX_DIR: directory };
    const { stdout } = await promisify(execFile)(process.execPath, [file, action], { env, timeout: 10_000 });
    assert.match(stdout, /\.\n$/, 'it says in a sentence what it did');
  }

  async function breakAndMend(sandbox: Sandbox, toBreak: string, toMend: string): Promise<void> {
    await act(toBreak);
    await waitUntil(async () => (await page(sandbox, 'readyz')).startsWith('not ready'), waiting(toBreak));
    await act(toMend);
    await waitUntil(async () => (await page(sandbox, 'readyz')).startsWith('ready'), waiting(toMend));
  }

  async function imagesOnNode(): Promise<string> {
    const socket = join(directory, 'node/run/containerd/containerd.sock');
    const args = ['--address', socket, '--namespace', 'k8s.io', 'images', 'ls', '-q'];
    return (await promisify(execFile)('ctr', args, { timeout: 10_000 })).stdout;
  }

  async function dockerImages(): Promise<string> {
    const address = `unix://${join(directory, 'node/run/docker.sock')}`;
    const args = ['--host', address, 'images', '--format', '{{.Repository}}'];
    return (await promisify(execFile)('docker', args, { timeout: 10_000 })).stdout;
  }

  async function kubeletConfig(): Promise<string> {
    return await readFile(join(directory, 'node/var/lib/kubelet/config.json'), 'utf8');
  }

  /** What containerd was asked to pull since the sandbox was last started. */
  async function pullRequests(): Promise<readonly string[]> {
    const log = await readFile(join(directory, 'log/runtime.log'), 'utf8');
    return log.match(/PullImage \\"[^"]*\\""/g) ?? [];
  }

  async function mountingProcesses(): Promise<readonly number[]> {
    return await processesWith('mountinfo', text => text.includes(directory));
  }

  /** After the death of the sandbox the agent has a moment to end as it wants to. */
  async function nothingLeft(timeoutMs = 6000): Promise<void> {
    await waitUntil(async () => (await processesOf(directory)).length === 0, {
      what: 'all processes of the sandbox to be gone',
      timeoutMs,
    });
    assert.deepEqual(await mountingProcesses(), []);
  }
});

/** A running `start.ts`. */
type Sandbox = {
  readonly pid: number | undefined;
  readonly output: () => string;
  readonly ended: Promise<{ readonly status: number | null; readonly output: string }>;
  kill(signal: NodeJS.Signals): void;
};

function sandboxProcess(directory: string, args: readonly string[]): Sandbox {
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, 'start.ts'), ...args], {
    env: { ...process.env, SANDBOX_DIR: directory },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', text => {
      output += text;
    });
  return {
    pid: child.pid,
    output: () => output,
    ended: once(child, 'close').then(([status]) => ({ status, output })),
    kill: signal => void child.kill(signal),
  };
}

/** Returns when the agent has everything. */
async function isReady(sandbox: Sandbox): Promise<void> {
  const ready = async () => (await page(sandbox, 'readyz')).startsWith('ready');
  await waitUntil(ready, waiting('the agent to be ready')).catch(cause => {
    throw new Error(sandbox.output(), { cause });
  });
}

/** A page of the agent, at the address in what the sandbox proposes to try. */
async function page(sandbox: Sandbox, path: string): Promise<string> {
  const [, address] = /curl (http:\/\/\S+)\/status/.exec(sandbox.output()) ?? [];
  const response = await fetch(`${address}/${path}`, { signal: AbortSignal.timeout(2000) });
  return await response.text();
}

function waiting(what: string): { what: string; timeoutMs: number } {
  return { what, timeoutMs: 20_000 };
}

/** That every image of the sandbox has a line in the summary, and what the line says. */
function assertInSummary(output: string, word: string): void {
  const summary = output.slice(output.indexOf('sandbox is ready'));
  for (const { repository } of sandboxImages)
    assert.match(summary, new RegExp(`/${repository}[:@].* present +${word}`));
}

/** Everything that was started for a sandbox, however it is related to us: it has the environment of the sandbox. */
async function processesOf(directory: string): Promise<readonly number[]> {
  return await processesWith('environ', text => text.split('\0').includes(`SANDBOX_DIR=${directory}`));
}

async function processesWith(file: string, matches: (text: string) => boolean): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name));
  const texts = await Promise.all(pids.map(pid => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')));
  return pids.filter((_, index) => matches(texts[index] ?? '')).map(Number);
}
