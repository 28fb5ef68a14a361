import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { cleanUp } from './cleanup.ts';
import { type PublishedImage, publishImage } from './images.ts';
import type { RegistryUser } from './registry-authentication.ts';
import { type SandboxNode, startSandboxNode } from './sandbox-node.ts';
import { temporaryDirectory, temporaryNode } from './temporary.ts';

const options = { timeout: 30_000 };
const users: readonly RegistryUser[] = [
  { name: 'first', password: 'first-1', repositories: ['team-a/', 'team-b/base'] },
  { name: 'second', password: 'second-1', repositories: ['*'] },
];
const smallImage = { tag: '1', layers: [2000, 300, 40] };

test('each user pulls what is theirs, with the password that is in force', options, async t => {
  const node = await temporaryNode(t, { users });
  const ofTeamA = await publishImage(node.registry, { ...smallImage, repository: 'team-a/api' });
  const ofTeamB = await publishImage(node.registry, { ...smallImage, repository: 'team-b/api' });

  const shared = await publishImage(node.registry, { ...smallImage, repository: 'team-b/base' });
  const ofSecond = await publishImage(node.registry, { ...smallImage, repository: 'team-b/base-secret' });

  await pull(node, ofTeamA, 'first:first-1');
  await pull(node, shared, 'first:first-1');
  await pull(node, ofTeamB, 'second:second-1');
  await pull(node, ofTeamA, 'second:second-1');
  await assert.rejects(pull(node, ofTeamB, 'first:first-1'), /pull access denied.*insufficient_scope/);
  await assert.rejects(pull(node, ofSecond, 'first:first-1'), /pull access denied/);
  await assert.rejects(pull(node, ofTeamA, 'first:wrong'), /failed to authorize.*401/);
  await assert.rejects(pull(node, ofTeamA, 'nobody:first-1'), /failed to authorize.*401/);
  await assert.rejects(pull(node, ofTeamA), /failed to authorize|no basic auth|anonymous/);

  await node.registry.setPassword('first', 'first-2');
  await assert.rejects(pull(node, ofTeamA, 'first:first-1'), /failed to authorize.*401/);
  await pull(node, ofTeamA, 'first:first-2');
});

test(
  'with htpasswd, everybody with a password pulls everything, and rotation is at once too',
  options,
  async t => {
    const node = await temporaryNode(t, { users, authentication: 'htpasswd' });
    const image = await publishImage(node.registry, { ...smallImage, repository: 'team-b/api' });
    const response = await fetch(`http://${node.registry.host}/v2/`);
    assert.match(response.headers.get('www-authenticate') ?? '', /^Basic /);

    await pull(node, image, 'first:first-1');
    await assert.rejects(pull(node, image, 'first:wrong'), /401 Unauthorized/);
    await node.registry.setPassword('first', 'first-2');
    await assert.rejects(pull(node, image, 'first:first-1'), /401 Unauthorized/);
    await pull(node, image, 'first:first-2');
  },
);

test('an index of three platforms gives every platform its own image', options, async t => {
  const node = await temporaryNode(t, { users });
  const platforms = ['linux/amd64', 'linux/arm64', 'linux/arm/v7'];
  const image = await publishImage(node.registry, { ...smallImage, repository: 'team-a/multi', platforms });
  await node.runtime.ctr(
    ...['images', 'pull', '--plain-http', '--user', 'second:second-1', '--all-platforms', image.reference],
  );
  const [, row] = (await node.runtime.ctr('images', 'ls', `name==${image.reference}`)).split('\n');
  assert.match(row ?? '', /image\.index\.v1\+json .*linux\/amd64,linux\/arm\/v7,linux\/arm64/);
});

test(
  'containerd and the registry keep what they have when they are killed and started again',
  options,
  async t => {
    const node = await temporaryNode(t, { users });
    const image = await publishImage(node.registry, { ...smallImage, repository: 'team-a/api' });
    await pull(node, image, 'first:first-1');

    await node.runtime.kill('SIGKILL');
    assert.equal(node.runtime.pid(), undefined);
    await assert.rejects(node.runtime.ctr('images', 'ls'));
    await node.runtime.start();
    assert.match(await node.runtime.ctr('images', 'ls', '-q'), new RegExp(image.reference));

    await node.registry.kill();
    await assert.rejects(pull(node, image, 'first:first-1'), /EOF|reset|closed/);
    await node.registry.start();
    await pull(node, image, 'first:first-1');
    node.registry.limit(0);
    await node.registry.start();
    const hanging = fetch(`http://${node.registry.host}/v2/`, { signal: AbortSignal.timeout(300) });
    await assert.rejects(hanging, { name: 'TimeoutError' }, 'the limit is kept, too');
    await node.registry.stop();
    await assert.rejects(pull(node, image, 'first:first-1'), /connection refused/);
  },
);

test('nothing of the system is touched and nothing is mounted for others', options, async t => {
  const before = await lookAtSystem();
  const node = await temporaryNode(t, { users });
  await pull(
    node,
    await publishImage(node.registry, { ...smallImage, repository: 'team-a/api' }),
    'first:first-1',
  );

  assert.ok(!(await readFile('/proc/self/mountinfo', 'utf8')).includes(node.directory));
  assert.deepEqual(await lookAtSystem(), before);
  await stat(join(node.hostRoot, 'run/cni/net.d')); // what containerd would make below /etc
  const ofContainerd = await readFile(`/proc/${node.runtime.pid()}/mountinfo`, 'utf8');
  assert.ok(
    ofContainerd.includes(join(node.directory, 'node/var')),
    'containerd has the directory of the node as /var',
  );
});

test('a node in a very deep directory works, and leaves no short way into it behind', options, async t => {
  let node: SandboxNode | undefined;
  const top = await temporaryDirectory(t);
  cleanUp(t, async () => node?.stop());
  const directory = join(top, ...Array<string>(12).fill('a-deep-directory'));
  node = await startSandboxNode({ directory, users });
  await node.runtime.ctr('version');
  assert.notEqual(node.hostRoot, join(directory, 'node'));
  await node.stop();
  await assert.rejects(stat(node.hostRoot), { code: 'ENOENT' });
});

test(
  'a second start in the same directory has the same port and publishes nothing again',
  options,
  async t => {
    const directory = await temporaryDirectory(t);
    const recipe = { ...smallImage, repository: 'team-a/api' };
    const images: PublishedImage[] = [];
    for (let round = 0; round < 2; round++) {
      const node = await startSandboxNode({ directory, users });
      cleanUp(t, () => node.stop());
      images.push(await publishImage(node.registry, recipe));
      await node.stop();
      assert.equal(await readFile(`/proc/self/task/${process.pid}/children`, 'utf8'), '');
    }
    assert.deepEqual(images[1], { ...images[0], isNew: false });
  },
);

test('a port that somebody else has taken since is left to them', options, async t => {
  const directory = await temporaryDirectory(t);
  const first = await startSandboxNode({ directory, users });
  cleanUp(t, () => first.stop());
  await first.stop();
  const port = Number(first.registry.host.split(':')[1]);
  const somebody = net.createServer().listen(port, '127.0.0.1');
  cleanUp(t, () => somebody.close());
  await once(somebody, 'listening');

  const second = await startSandboxNode({ directory, users });
  cleanUp(t, () => second.stop());
  assert.notEqual(second.registry.host, first.registry.host);
  assert.equal((await fetch(`http://${second.registry.host}/v2/`)).status, 401);
});

async function pull(node: SandboxNode, { reference }: PublishedImage, user?: string): Promise<void> {
  const login = user === undefined ? [] : ['--user', user];
  await node.runtime.ctr('images', 'pull', '--plain-http', ...login, reference);
}

async function lookAtSystem(): Promise<unknown> {
  const paths = ['/var/lib/containerd', '/run/containerd', '/opt/containerd', '/etc/containerd', '/etc/cni'];
  return await Promise.all(
    paths.map(path =>
      stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => 'missing',
      ),
    ),
  );
}
