import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { CredentialFlow, type CredentialState } from '../../agent/credentials/credential-flow.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { dockerConfigJson } from '../sandbox/docker-config.ts';
import { updateKubeletVolume } from '../sandbox/kubelet-volume.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';

const limits = { timeout: 60_000 };
const kubelet = '/var/lib/kubelet/config.json';
const docker = '/root/.docker/config.json';

/** A node's files with a Secret `team-a`, and a flow that runs on them until the test ends. */
async function startNode(t: TestContext, lookEvery?: number) {
  const directory = await temporaryDirectory(t);
  const hostRoot = join(directory, 'host');
  const secrets = join(directory, 'secrets');
  await mkdir(hostRoot);
  const node = {
    hostRoot,
    secrets,
    file: (path: string) => join(hostRoot, path),
    targets: [kubelet, docker] as readonly string[],
    state: undefined as CredentialState | undefined,
    write: (password: string, name = 'team-a') =>
      updateKubeletVolume(join(secrets, name), {
        '.dockerconfigjson': dockerConfigJson({ registry: 'r.io', user: 'u', password }),
      }),
    passwordIn: async (path: string) => {
      const { auths } = JSON.parse(await readFile(join(hostRoot, path), 'utf8'));
      return Buffer.from(auths['r.io'].auth, 'base64').toString().slice(2);
    },
    targetState: (path: string) => node.state?.targets.find(target => target.path === path),
    start: (): ReturnType<typeof startFlow> => startFlow(t, node, lookEvery),
  };
  await node.write('one');
  return { node, flow: await node.start() };
}

type FlowNode = {
  readonly secrets: string;
  readonly hostRoot: string;
  readonly targets: readonly string[];
  state: CredentialState | undefined;
};

async function startFlow(t: TestContext, node: FlowNode, lookEvery = 10_000) {
  const stop = new AbortController();
  const flow = new CredentialFlow({
    secrets: node.secrets,
    hostRoot: node.hostRoot,
    stateDirectory: join(node.hostRoot, 'var/lib/pullready'),
    targets: () => node.targets,
    report: state => {
      node.state = state;
    },
    log: pino({ enabled: false }),
    lookEvery,
  });
  node.state = undefined;
  const running = flow.run(stop.signal);
  const end = async () => {
    stop.abort();
    await running;
  };
  cleanUp(t, end);
  await waitUntil(() => node.state !== undefined, { what: 'the first look', timeoutMs: 5_000 });
  return { lookAgain: () => flow.lookAgain(), end };
}

function until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 5_000): Promise<void> {
  return waitUntil(condition, { what, timeoutMs });
}

test('both files are written, private, and a rotation is in them within a second', limits, async t => {
  const { node } = await startNode(t);
  for (const path of [kubelet, docker]) {
    assert.equal(await node.passwordIn(path), 'one');
    assert.equal((await stat(node.file(path))).mode & 0o777, 0o600);
  }
  assert.equal((await stat(node.file('/root/.docker'))).mode & 0o777, 0o700);
  const { writtenAt, kubeletSeesBy } = node.targetState(kubelet) ?? {};
  assert.equal((kubeletSeesBy?.getTime() ?? 0) - (writtenAt?.getTime() ?? 0), 300_000);
  assert.equal(node.targetState(docker)?.kubeletSeesBy, null);
  await node.write('two');
  await until('the new password', async () => (await node.passwordIn(docker)) === 'two', 1_000);
});

test('after 200 swaps in a row at random intervals, the last one is on disk', limits, async t => {
  const { node } = await startNode(t, 60_000);
  for (let swap = 1; swap <= 200; swap++) {
    await node.write(`swap-${swap}`);
    // Mostly close together, up to 300 ms apart.
    await delay(300 * Math.random() ** 6);
  }
  await until('the last swap', async () => (await node.passwordIn(docker)) === 'swap-200', 1_000);
  assert.equal(await node.passwordIn(kubelet), 'swap-200');
});

test('a change of which no event tells is found by the periodic look', limits, async t => {
  const { node, flow } = await startNode(t, 200);
  // Of a file system that is mounted over a watched directory, and of what happens in it, no event tells.
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', node.secrets]);
  try {
    await node.write('two');
    await until('the new password', async () => (await node.passwordIn(kubelet)) === 'two');
    await node.write('three');
    await until('the next one', async () => (await node.passwordIn(kubelet)) === 'three');
  } finally {
    await flow.end();
    execFileSync('umount', [node.secrets]);
  }
});

test('what would not change is not written', limits, async t => {
  const { node, flow } = await startNode(t, 50);
  const before = await stat(node.file(kubelet), { bigint: true });
  const state = node.state;
  await updateKubeletVolume(join(node.secrets, 'other'), {});
  flow.lookAgain();
  await until('some looks', () => node.state !== state && node.state?.sources.length === 2);
  const after = await stat(node.file(kubelet), { bigint: true });
  assert.deepEqual([after.ino, after.mtimeNs], [before.ino, before.mtimeNs]);
});

test('keys and entries of others are kept, and drift is repaired', limits, async t => {
  const { node } = await startNode(t);
  const theirs = { credHelpers: { 'x.io': 'ecr-login' }, auths: { 'b.io': { auth: 'eDp5' } } };
  await writeFile(node.file(docker), JSON.stringify(theirs));
  await until('our entry beside theirs', async () => (await node.passwordIn(docker)) === 'one');
  const merged = JSON.parse(await readFile(node.file(docker), 'utf8'));
  assert.deepEqual(merged.credHelpers, theirs.credHelpers);
  assert.deepEqual(merged.auths['b.io'], theirs.auths['b.io']);

  for (const harm of [
    () => rm(node.file(docker)),
    () => writeFile(node.file(docker), ''),
    () => writeFile(node.file(docker), '{"auths"'),
    () => chmod(node.file(docker), 0o644),
  ]) {
    await harm();
    await until('the repair', async () => {
      const { mode } = await stat(node.file(docker));
      return (mode & 0o777) === 0o600 && (await node.passwordIn(docker)) === 'one';
    });
  }
  const kept = await readdir(node.file('/var/lib/pullready/replaced'));
  assert.ok(kept.length >= 1, 'what was no docker config is kept');
});

test('what is revoked is taken out, and a file that we made goes with its last entry', limits, async t => {
  const { node } = await startNode(t);
  await mkdir(node.file('/root/.docker'), { recursive: true });
  await updateKubeletVolume(join(node.secrets, 'team-a'), { '.dockerconfigjson': '{"auths": {}}' });
  await until('the files to be gone', async () => (await readdir(node.file('/root/.docker'))).length === 0);
  await assert.rejects(stat(node.file(kubelet)), { code: 'ENOENT' });
  await node.write('two');
  await until('the new password', async () => (await node.passwordIn(kubelet)) === 'two');
  await rm(join(node.secrets, 'team-a'), { recursive: true });
  await until(
    'the file to be gone',
    async () => !(await readdir(node.file('/var/lib/kubelet'))).includes('config.json'),
  );
});

test(
  'a Secret that breaks keeps what it said, says why, and is followed again once it is mended',
  limits,
  async t => {
    const { node } = await startNode(t);
    const breaks: readonly (readonly [Record<string, string>, RegExp])[] = [
      [{}, /the Secret does not exist or holds none of/],
      [{ other: 'x' }, /holds none of/],
      [{ '.dockerconfigjson': '' }, /it is empty/],
      [{ '.dockerconfigjson': '{"auths": {"r.io": {"auth": "' }, /it is not JSON/],
      [{ '.dockerconfigjson': '{"auths": []}' }, /"auths" is a list and should be an object/],
      [{ '.dockerconfigjson': '[]' }, /it is a list and should be an object/],
    ];
    for (const [number, [payload, problem]] of breaks.entries()) {
      await node.write(`before ${number}`);
      await until('the password', async () => (await node.passwordIn(kubelet)) === `before ${number}`);
      await updateKubeletVolume(join(node.secrets, 'team-a'), payload);
      await until('the problem', () => problem.test(node.state?.sources[0]?.problems.join() ?? ''));
      assert.equal(node.state?.sources[0]?.state, 'kept');
      for (const path of [kubelet, docker]) assert.equal(await node.passwordIn(path), `before ${number}`);
    }
    await node.write('mended');
    await until('the mended one', async () => (await node.passwordIn(docker)) === 'mended');
    await until('the state', () => node.state?.sources[0]?.state === 'current');
  },
);

test('one entry of several that is revoked goes, and the others stay', limits, async t => {
  const { node } = await startNode(t);
  const both = ['r.io', 's.io'].map(registry => ({ registry, user: 'u', password: 'p' }));
  const volume = join(node.secrets, 'team-a');
  const registries = async () => Object.keys(JSON.parse(await readFile(node.file(kubelet), 'utf8')).auths);
  await updateKubeletVolume(volume, { '.dockerconfigjson': dockerConfigJson(...both) });
  await until('both', async () => (await registries()).join() === 'r.io,s.io');
  await updateKubeletVolume(volume, { '.dockerconfigjson': dockerConfigJson(...both.slice(1)) });
  await until('the other alone', async () => (await registries()).join() === 's.io');
});

test('a restart while the Secret is broken or missing takes nothing away', limits, async t => {
  const { node, flow } = await startNode(t);
  for (const content of [{}, { '.dockerconfigjson': '{' }]) {
    await updateKubeletVolume(join(node.secrets, 'team-a'), content);
    await flow.end();
    const again = await node.start();
    assert.equal(node.state?.sources[0]?.state, 'kept');
    assert.equal(await node.passwordIn(kubelet), 'one');
    await again.end();
  }
  await rename(node.secrets, `${node.secrets}-away`);
  const blind = await node.start();
  assert.match(node.state?.problems.join() ?? '', /reading the secrets directory .* does not exist/);
  assert.equal(await node.passwordIn(docker), 'one');
  await blind.end();
  await mkdir(node.secrets);
  await node.start();
  await assert.rejects(
    stat(node.file(kubelet)),
    { code: 'ENOENT' },
    'a Secret that is no longer mounted is revoked',
  );
});

test('a target that left the list is left as it was found', limits, async t => {
  const { node, flow } = await startNode(t);
  node.targets = [kubelet];
  flow.lookAgain();
  await until('the file to be gone', async () => (await readdir(node.file('/root/.docker'))).length === 0);
  assert.equal(await node.passwordIn(kubelet), 'one');
});

test(
  'a target that cannot be written says why, the other one is written, and it recovers',
  limits,
  async t => {
    const { node, flow } = await startNode(t, 200);
    const directory = node.file('/var/lib/kubelet');
    const mountAs = (options: string) =>
      execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory]);
    const cases: readonly (readonly [string, RegExp])[] = [
      ['ro', /writing \/var\/lib\/kubelet\/config.json: the file system is read-only/],
      ['nr_inodes=1', /no space or no inodes are left/],
      // One page, and that is taken by a file of somebody else.
      ['size=4k', /no space or no inodes are left/],
    ];
    for (const [options, problem] of cases) {
      mountAs(options);
      try {
        if (options.startsWith('size')) await writeFile(join(directory, 'other'), 'x'.repeat(4_096));
        await node.write(`under ${options}`);
        await until('the failure', () => problem.test(node.targetState(kubelet)?.problem ?? ''));
        await until('the other one', async () => (await node.passwordIn(docker)) === `under ${options}`);
        assert.equal(node.targetState(kubelet)?.state, 'failed');
      } finally {
        execFileSync('umount', [directory]);
      }
      flow.lookAgain();
      await until('the recovery', async () => (await node.passwordIn(kubelet)) === `under ${options}`);
      await until('the state', () => node.targetState(kubelet)?.state === 'current');
    }
  },
);

test('a target that is a directory is told, the other one is written, and it recovers', limits, async t => {
  const { node } = await startNode(t);
  await rm(node.file(docker));
  await mkdir(node.file(docker));
  await node.write('two');
  await until('the failure', () => node.targetState(docker)?.state === 'failed');
  assert.match(node.targetState(docker)?.problem ?? '', /it is a directory; move the directory away/);
  await until('the other one', async () => (await node.passwordIn(kubelet)) === 'two');
  await rm(node.file(docker), { recursive: true });
  await until('the recovery', async () => (await node.passwordIn(docker)) === 'two');
  await until('the state', () => node.targetState(docker)?.state === 'current');
});

test('a link out of the directory is refused and left alone; one within it is replaced', limits, async t => {
  const { node } = await startNode(t);
  const outside = node.file('/outside.json');
  await writeFile(outside, '{"auths": {}}');
  await rm(node.file(docker));
  await symlink('../../outside.json', node.file(docker));
  await until('the refusal', () => node.targetState(docker)?.state === 'refused');
  assert.match(node.targetState(docker)?.problem ?? '', /symbolic link that leads out of its directory/);
  assert.equal(await readFile(outside, 'utf8'), '{"auths": {}}');

  await rm(node.file(docker));
  await writeFile(node.file('/root/.docker/real.json'), '{"auths": {"b.io": {"auth": "eDp5"}}}');
  await symlink('real.json', node.file(docker));
  await until(
    'the file',
    () => node.targetState(docker)?.state === 'current' && node.targetState(docker)?.foreign === 1,
  );
  assert.equal(await node.passwordIn(docker), 'one');
});

test('a directory that is a link out of the node is refused', limits, async t => {
  const { node, flow } = await startNode(t);
  const outside = await temporaryDirectory(t);
  await rm(node.file('/root/.docker'), { recursive: true });
  await symlink(outside, node.file('/root/.docker'));
  flow.lookAgain();
  await until('the refusal', () => node.targetState(docker)?.state === 'refused');
  assert.match(node.targetState(docker)?.problem ?? '', /leads out of the node's root/);
  assert.deepEqual(await readdir(outside), []);
});
