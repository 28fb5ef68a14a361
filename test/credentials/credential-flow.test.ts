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
import { webToken } from './tokens.ts';

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
    resync: 60_000,
    helpers: join(directory, 'helpers'),
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
  readonly resync: number;
  readonly helpers: string;
  state: CredentialState | undefined;
};

async function startFlow(t: TestContext, node: FlowNode, lookEvery = 10_000) {
  const stop = new AbortController();
  const flow = new CredentialFlow({
    secrets: node.secrets,
    hostRoot: node.hostRoot,
    stateDirectory: join(node.hostRoot, 'var/lib/pullready'),
    helpers: node.helpers,
    config: () => ({ targets: node.targets, helperRefresh: 60_000, resync: node.resync }),
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
  const missing = (path: string) =>
    stat(node.file(path)).then(
      () => false,
      () => true,
    );
  await updateKubeletVolume(join(node.secrets, 'team-a'), { '.dockerconfigjson': '{"auths": {}}' });
  await until('the files to be gone', async () => (await missing(kubelet)) && (await missing(docker)));
  await until('the directories that we made for them to be gone', () => missing('/root'));
  await node.write('two');
  await until('the new password', async () => (await node.passwordIn(kubelet)) === 'two');
  await rm(join(node.secrets, 'team-a'), { recursive: true });
  await until('the file to be gone', () => missing(kubelet));
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
      // In the state, too: what it said of the break before must not be taken for what it says of the next one.
      await until(
        'the password',
        async () =>
          node.state?.sources[0]?.state === 'current' &&
          (await node.passwordIn(kubelet)) === `before ${number}` &&
          (await node.passwordIn(docker)) === `before ${number}`,
      );
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
  await until('the file to be gone', async () => !(await readdir(node.hostRoot)).includes('root'));
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

test(
  'a directory in the place of a target is moved aside, with what is in it, within a second',
  limits,
  async t => {
    const { node } = await startNode(t);
    await rm(node.file(docker));
    await mkdir(node.file(docker));
    await writeFile(join(node.file(docker), 'theirs'), 'x');
    await until('the repair', async () => (await node.passwordIn(docker).catch(() => '')) === 'one', 1_000);
    const [aside = ''] = (await readdir(node.file('/root/.docker'))).filter(name => name !== 'config.json');
    assert.match(aside, /^config.json.directory-[0-9a-f]{6}$/);
    assert.equal(await readFile(node.file(`/root/.docker/${aside}/theirs`), 'utf8'), 'x');
    await until('the state', () => node.targetState(docker)?.state === 'current');
  },
);

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

test('an entry whose token ends is taken out on time, and a new one is put in', limits, async t => {
  const { node } = await startNode(t, 60_000);
  const token = (seconds: number) => webToken({ exp: Math.floor(Date.now() / 1_000) + seconds }).reveal();
  await node.write(token(3));
  await until('the notice', () =>
    /expires in/.test(node.state?.warnings.map(({ text }) => text).join() ?? ''),
  );
  assert.equal(node.state?.entries[0]?.state, 'written');
  assert.ok((node.state?.entries[0]?.expiresAt?.getTime() ?? 0) > Date.now());
  await until('the file to be gone', () => node.state?.entries[0]?.state === 'expired', 10_000);
  await assert.rejects(stat(node.file(kubelet)), { code: 'ENOENT' });
  assert.match(
    node.state?.warnings.map(({ text }) => text).join() ?? '',
    /expired at .* and was taken out; renew/,
  );
  assert.equal(node.state?.sources[0]?.state, 'current');
  const next = token(3_600);
  await node.write(next);
  await until('the new one', async () => (await node.passwordIn(docker)) === next);
});

test("an identity token goes to docker's file alone, and our own pulls use it", limits, async t => {
  const { node } = await startNode(t);
  const auths = { 'r.io': { auth: 'dTpw' }, 'token.io': { identitytoken: 'T' } };
  await updateKubeletVolume(join(node.secrets, 'team-a'), { '.dockerconfigjson': JSON.stringify({ auths }) });
  const keys = async (path: string) => Object.keys(JSON.parse(await readFile(node.file(path), 'utf8')).auths);
  await until('the token', async () => (await keys(docker)).join() === 'r.io,token.io');
  assert.deepEqual(await keys(kubelet), ['r.io']);
  const tried = (repository: string) =>
    node.state?.keyring
      .lookup(repository)
      .map(one => ('identityToken' in one ? one.identityToken : one.password).reveal());
  await until('the keyring', () => tried('token.io/app')?.join() === 'T');
  assert.deepEqual(tried('r.io/app'), ['p']);
});

test('a target of the legacy format is written in it', limits, async t => {
  const { node, flow } = await startNode(t);
  node.targets = ['/root/.dockercfg'];
  flow.lookAgain();
  await until('the state', () => node.targetState('/root/.dockercfg')?.state === 'current');
  assert.deepEqual(JSON.parse(await readFile(node.file('/root/.dockercfg'), 'utf8')), {
    'r.io': { auth: Buffer.from('u:one').toString('base64') },
  });
  assert.ok(node.targetState('/root/.dockercfg')?.kubeletSeesBy);
});

test(
  "the file of OpenShift's machine-config-operator is refused, and docker's is written",
  limits,
  async t => {
    for (const sign of [
      '/etc/machine-config-daemon',
      '/var/lib/kubelet/pods/1-2/containers/machine-config-daemon',
    ]) {
      const { node, flow } = await startNode(t);
      await node.write('two');
      await until('the rotation', async () => (await node.passwordIn(kubelet)) === 'two');
      await mkdir(node.file(sign), { recursive: true });
      await node.write('three');
      await until('the refusal', () => node.targetState(kubelet)?.state === 'refused');
      assert.match(
        node.targetState(kubelet)?.problem ?? '',
        /OpenShift's machine-config-operator.*global pull secret/,
      );
      assert.equal(await node.passwordIn(kubelet), 'two');
      await until('the other one', async () => (await node.passwordIn(docker)) === 'three');
      // What was written before it was known can still be taken out.
      node.targets = [docker];
      flow.lookAgain();
      await until('the file to be gone', () =>
        stat(node.file(kubelet)).then(
          () => false,
          () => true,
        ),
      );
      await flow.end();
    }
  },
);

test(
  'who rewrites a file over and over is told as contested, left alone, and met again later',
  limits,
  async t => {
    const { node, flow } = await startNode(t, 200);
    node.resync = 3_000;
    const theirs = '{"auths": {"b.io": {"auth": "eDp5"}}}';
    let rounds = 0;
    let isFighting = true;
    const fight = (async () => {
      while (isFighting) {
        if ((await readFile(node.file(docker), 'utf8').catch(() => '')) !== theirs) {
          rounds++;
          await writeFile(node.file(docker), theirs);
        }
        await delay(5);
      }
    })();
    cleanUp(t, () => {
      isFighting = false;
      return fight;
    });
    await until('the contest', () => node.targetState(docker)?.state === 'contested', 20_000);
    const lost = rounds;
    const { problem = '', managed } = node.targetState(docker) ?? {};
    assert.match(
      problem ?? '',
      /is rewritten by somebody else over and over \(10 times so far\): their version is in it now/,
    );
    assert.equal(managed, 0);
    const state = node.state;
    await until('some looks', () => node.state !== state);
    assert.equal(rounds, lost, 'it is left to them');
    await node.write('two');
    await until('the new password, tried once', () => rounds > lost);
    assert.equal(await node.passwordIn(kubelet), 'two', 'the other file is not held up');

    isFighting = false;
    await fight;
    flow.lookAgain();
    await until(
      'the next try',
      async () => (await node.passwordIn(docker).catch(() => '')) === 'two',
      10_000,
    );
    await until('the state', () => node.targetState(docker)?.state === 'current');
  },
);

test(
  'what a helper answers is an entry of the Secret, and one that hangs holds up nothing',
  limits,
  async t => {
    const { node } = await startNode(t, 200);
    await mkdir(node.helpers);
    const program = (name: string, body: string) =>
      writeFile(join(node.helpers, `docker-credential-${name}`), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    await program('good', `echo '{"ServerURL": "h.io", "Username": "u", "Secret": "answered"}'`);
    await program('hanging', 'sleep 60');
    const document = { auths: { 'r.io': { auth: Buffer.from('u:two').toString('base64') } } };
    const text = JSON.stringify({
      ...document,
      credHelpers: { 'h.io': 'good', 'slow.io': 'hanging', 'no.io': 'missing' },
    });
    await updateKubeletVolume(join(node.secrets, 'team-a'), { '.dockerconfigjson': text });
    const auths = async () => JSON.parse(await readFile(node.file(kubelet), 'utf8')).auths;
    await until('the answer', async () => (await auths())['h.io'] !== undefined);
    assert.equal(Buffer.from((await auths())['h.io'].auth, 'base64').toString(), 'u:answered');
    assert.equal(await node.passwordIn(docker), 'two');
    await until('the problem', () =>
      /the program that the Secret names is not in .*; there are docker-credential-good, docker-credential-hanging/.test(
        node.state?.sources[0]?.problems.join() ?? '',
      ),
    );
    await updateKubeletVolume(join(node.secrets, 'team-a'), {
      '.dockerconfigjson': JSON.stringify(document),
    });
    await until('the revocation', async () => (await auths())['h.io'] === undefined);
  },
);

test('two names of one file are one target, and the other name is refused', limits, async t => {
  const { node, flow } = await startNode(t);
  await mkdir(node.file('/srv'));
  await writeFile(node.file('/var/lib/kubelet/theirs'), '');
  await symlink('../var/lib/kubelet', node.file('/srv/kubelet'));
  const other = '/srv/kubelet/config.json';
  node.targets = [kubelet, other];
  flow.lookAgain();
  await until('the refusal', () => node.targetState(other)?.state === 'refused');
  assert.match(node.targetState(other)?.problem ?? '', /the same file as \/var\/lib\/kubelet\/config.json/);
  // Its other name alone: the file changes hands, and nothing of ours is taken for somebody else's.
  node.targets = [other];
  flow.lookAgain();
  await until('the new name', () => node.targetState(other)?.state === 'current');
  await updateKubeletVolume(join(node.secrets, 'team-a'), { '.dockerconfigjson': '{"auths": {}}' });
  await until('the revocation', () =>
    stat(node.file(kubelet)).then(
      () => false,
      () => true,
    ),
  );
});

test('who changes the mode of a file over and over is a rival like any other', limits, async t => {
  const { node } = await startNode(t, 200);
  let isFighting = true;
  const fight = (async () => {
    while (isFighting) {
      await chmod(node.file(docker), 0o644).catch(() => undefined);
      await delay(5);
    }
  })();
  cleanUp(t, () => {
    isFighting = false;
    return fight;
  });
  await until('the contest', () => /over and over/.test(node.targetState(docker)?.problem ?? ''), 20_000);
});

test('programs that hang keep no other from being asked', limits, async t => {
  const { node } = await startNode(t, 200);
  await mkdir(node.helpers);
  const program = (name: string, body: string) =>
    writeFile(join(node.helpers, `docker-credential-${name}`), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  await program('hanging', 'sleep 60');
  await program('good', `echo '{"ServerURL": "h.io", "Username": "u", "Secret": "answered"}'`);
  const hanging = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`h${index}.io`, 'hanging']));
  await updateKubeletVolume(join(node.secrets, 'a-hanging'), {
    '.dockerconfigjson': JSON.stringify({ credHelpers: hanging }),
  });
  await updateKubeletVolume(join(node.secrets, 'b-good'), {
    '.dockerconfigjson': JSON.stringify({ credHelpers: { 'good.io': 'good' } }),
  });
  await until(
    'the answer',
    () => node.state?.entries.some(({ registry }) => registry === 'good.io') ?? false,
  );
});

test('a stray document beside the Secrets revokes none of them', limits, async t => {
  const { node, flow } = await startNode(t);
  await writeFile(join(node.secrets, 'config.json'), 'garbage');
  const state = node.state;
  flow.lookAgain();
  await until('a look', () => node.state !== state);
  assert.deepEqual(
    node.state?.sources.map(({ name }) => name),
    ['team-a'],
  );
  assert.equal(await node.passwordIn(kubelet), 'one');
});
