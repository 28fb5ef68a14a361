import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { settingNames } from '../agent/settings.ts';
import { cleanUp } from './sandbox/cleanup.ts';
import { dockerConfigJson } from './sandbox/docker-config.ts';
import { updateKubeletVolume } from './sandbox/kubelet-volume.ts';
import { temporaryDirectory } from './sandbox/temporary.ts';
import { waitUntil } from './sandbox/wait-until.ts';

const project = fileURLToPath(new URL('..', import.meta.url));

/**
 * Bytes. The bundle is read and compiled at every start; what makes it grow past this should be looked at. 1.4 MB of it
 * are undici, which is run on nodes with docker alone.
 */
const largestBundle = 4_200_000;

const registry = 'registry.example.com';
const [user, password] = ['robot', 's3cret'];

/** What a run of the bundle printed, and how it ended. */
type Ended = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

describe('the bundle', { timeout: 120_000 }, () => {
  let directory: string;
  let bundle: string;

  before(async () => {
    // No node_modules in it or above it: what the bundle lacks, it does not find.
    directory = await mkdtemp(join(tmpdir(), 'pullready-bundle-'));
    bundle = join(directory, 'out/pullready.mjs');
    await promisify(execFile)('npm', ['run', 'build', '--', `--outfile=${bundle}`], {
      cwd: project,
      timeout: 60_000,
    });
  });

  after(() => rm(directory, { recursive: true, force: true }));

  it('is one file of a bounded size', async () => {
    assert.deepEqual(await readdir(join(directory, 'out')), ['pullready.mjs']);
    const { size } = await stat(bundle);
    assert.ok(size < largestBundle, `${size} bytes`);
  });

  it('prints its help, with every flag', async test => {
    const { status, stdout } = await ended(start(['--help'], test));

    assert.equal(status, 0);
    for (const name of settingNames) assert.match(stdout, new RegExp(`--${name}\\b`));
  });

  it('ends with status 2 on a flag that it does not know', async test => {
    const { status, stderr } = await ended(start(['run', '--sekrets', '/x'], test));

    assert.equal(status, 2);
    assert.match(stderr, /unknown flag --sekrets/);
  });

  for (const format of ['json', 'pretty']) {
    it(`writes the credentials once and ends, with its log as ${format}`, async test => {
      const { flags, targets } = await standInNode(test);

      const { status, stdout, stderr } = await ended(
        start(['run', '--once', `--log-format=${format}`, ...flags], test),
      );

      assert.equal(status, 0, stderr + stdout);
      for (const target of targets) await assertWritten(target);
      const lines = (stderr + stdout).split('\n').filter(line => line !== '');
      assert.ok(lines.length > 0, 'it says what it did');
      assert.equal(lines.some(isJsonObject), format === 'json', lines.join('\n'));
    });
  }

  it('keeps running until SIGTERM, and then ends with status 0', async test => {
    const { flags, targets } = await standInNode(test);
    const agent = start(['run', ...flags], test);
    const end = ended(agent);
    for (const target of targets) {
      const written = () => assertWritten(target).then(() => true);
      await waitUntil(written, { what: `${target} to be written`, timeoutMs: 20_000 });
    }
    assert.equal(agent.exitCode, null, 'it goes on');

    agent.kill('SIGTERM');

    assert.equal((await end).status, 0);
  });

  /** Starts the bundle in an empty directory: there is no node_modules that it could fall back on. */
  function start(args: readonly string[], test: TestContext): ChildProcess {
    const child = spawn(process.execPath, [bundle, ...args], {
      cwd: directory,
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const closed = once(child, 'close');
    cleanUp(test, async () => {
      child.kill('SIGKILL');
      await closed;
    });
    return child;
  }
});

/** Directories as the pod has them, with one Secret as the kubelet lays it out. */
async function standInNode(
  test: TestContext,
): Promise<{ readonly flags: readonly string[]; readonly targets: readonly string[] }> {
  const root = await temporaryDirectory(test);
  const [secrets, host] = [join(root, 'secrets'), join(root, 'host')];
  await updateKubeletVolume(join(secrets, 'registry'), {
    '.dockerconfigjson': dockerConfigJson({ registry, user, password }),
  });
  for (const path of ['var/lib/kubelet', 'root/.docker', 'var/lib/pullready']) {
    await mkdir(join(host, path), { recursive: true });
  }
  const targets = ['var/lib/kubelet/config.json', 'root/.docker/config.json'].map(path => join(host, path));
  const flags = ['--secrets', secrets, '--config', join(root, 'config.yaml'), '--host-root', host];
  return { flags: [...flags, '--runtime', 'none', '--listen', 'none'], targets };
}

async function assertWritten(target: string): Promise<void> {
  const auth = Buffer.from(`${user}:${password}`).toString('base64');
  assert.deepEqual(JSON.parse(await readFile(target, 'utf8')), { auths: { [registry]: { auth } } });
  assert.equal((await stat(target)).mode & 0o777, 0o600);
}

async function ended(child: ChildProcess): Promise<Ended> {
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', text => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', text => (stderr += text));
  const [status] = await once(child, 'close', { signal: AbortSignal.timeout(30_000) });
  return { status, stdout, stderr };
}

function isJsonObject(line: string): boolean {
  return line.startsWith('{') && line.endsWith('}');
}
