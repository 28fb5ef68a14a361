import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type RunningContainer, startPod } from './pod-on-runc.ts';
import { agentPod, manifests, render, theOnly } from './rendered.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));

const auths = {
  'registry.example.com': { auth: Buffer.from('robot:s3cret').toString('base64') },
};

describe('the rendered pod, started on a stand-in node', { timeout: 120_000 }, () => {
  it('writes the credentials with no more rights than it is given, gets ready, and ends on SIGTERM', async test => {
    const { node, agent } = await startOnStandInNode(test);

    const targets = ['var/lib/kubelet/config.json', 'root/.docker/config.json'].map(path => join(node, path));
    await converged(agent, async () => {
      for (const target of targets) assert.deepEqual(JSON.parse(await readFile(target, 'utf8')), { auths });
      assert.equal(await answer(agent, '/livez'), 200);
      assert.equal(await answer(agent, '/readyz'), 200);
    });

    for (const target of targets) {
      const { mode, uid } = await stat(target);
      assert.deepEqual([mode & 0o777, uid], [0o600, 0]);
    }
    assert.deepEqual(await readdir(join(node, 'run')), [], 'nothing is left in /run');
    assert.match(await agent.exec(['node', '-p', readCapabilities]), /^CapPrm:\s+0+\s+CapEff:\s+0+$/m);
    assert.equal(await agent.stop(), 0);
  });
});

const readCapabilities = `require('fs').readFileSync('/proc/1/status', 'utf8').match(/CapPrm.*\\nCapEff.*/)[0].replace('\\n', ' ')`;

async function startOnStandInNode(
  test: TestContext,
): Promise<{ readonly node: string; readonly agent: RunningContainer }> {
  const directory = await mkdtemp(join(tmpdir(), 'pullready-pod-'));
  let agent: RunningContainer | undefined;
  test.after(async () => {
    await agent?.remove();
    await rm(directory, { recursive: true });
  });
  const bundle = join(directory, 'pullready.mjs');
  await promisify(execFile)('npm', ['run', 'build', '--', `--outfile=${bundle}`], { cwd: project });
  const node = join(directory, 'node');
  for (const path of ['run', 'var/lib/kubelet']) await mkdir(join(node, path), { recursive: true });
  await mkdir(join(directory, 'container'));

  const objects = await render(manifests);
  const configMap = theOnly('ConfigMap', objects);
  agent = await startPod({
    ...agentPod(objects),
    image: { entrypoint: ['node', '/opt/pullready/pullready.mjs'], bundle },
    objects: {
      [configMap.metadata.name]: configMap.data as Readonly<Record<string, string>>,
      'pullready-registry': { '.dockerconfigjson': JSON.stringify({ auths }) },
    },
    node,
    directory: join(directory, 'container'),
  });
  return { node, agent };
}

async function answer(agent: RunningContainer, path: string): Promise<number> {
  const request = `fetch('http://127.0.0.1:9797${path}').then(r => console.log(r.status))`;
  return Number(await agent.exec(['node', '-e', request]));
}

/** Waits until the condition holds; if it never does, says why not and what the agent had to say. */
async function converged(agent: RunningContainer, condition: () => Promise<void>): Promise<void> {
  for (const deadline = Date.now() + 30_000; ; await delay(100)) {
    try {
      return await condition();
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`${error}\n${agent.output()}`, { cause: error });
    }
  }
}
