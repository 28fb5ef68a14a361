import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  controlSocketPath,
  type NodeLock,
  tryNodeLock,
  waitForNodeLock,
} from '../../agent/control/node-lock.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { dieWithStarter } from '../sandbox/program.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';

const program = fileURLToPath(new URL('lock-contender.ts', import.meta.url));
const limits = { timeout: 30_000 };

test('of two calls in one process one gets the lock, until it frees it, also if twice', limits, async t => {
  const directory = await temporaryDirectory(t);
  const [first, second] = await Promise.all([tryNodeLock(directory), tryNodeLock(directory)]);
  assert.ok(first);
  assert.equal(second, undefined);
  first.release();
  const third = await take(t, directory);
  first.release();
  assert.equal(await tryNodeLock(directory), undefined);
  third.release();
});

test('a vain try does not free what the same process holds', limits, async t => {
  const directory = await temporaryDirectory(t);
  const lock = await take(t, directory);
  assert.equal(await tryNodeLock(directory), undefined);
  const contender = await startContender(t, ['hold', directory]);
  await contender.untilSaid('waiting');
  lock.release();
  await contender.untilSaid('held');
  assert.equal(contender.complaints(), '', 'nothing on stderr, no warning of Node.js either');
});

test('the lock is one empty file that nobody else can read, in a directory that is made', limits, async t => {
  const directory = join(await temporaryDirectory(t), 'lib', 'pullready');
  await take(t, directory);
  assert.equal(((await stat(directory)).mode & 0o7777).toString(8), '700');
  assert.deepEqual(await readdir(directory), ['agent.lock']);
  const { mode, size } = await stat(join(directory, 'agent.lock'));
  assert.equal((mode & 0o7777).toString(8), '600');
  assert.equal(size, 0);
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const)
  for (const mode of ['hold', 'serve'] as const)
    test(`the second takes over within a second of the ${signal} of one that ${mode}s`, limits, async t => {
      const directory = await temporaryDirectory(t);
      const first = await startContender(t, [mode, directory]);
      await first.untilSaid('held');
      const second = await startContender(t, ['serve', directory]);
      await second.untilSaid('waiting');
      await expectTakeover(first, second, signal);
      assert.equal(second.said(), 'waiting\nheld\n');
    });

test('a process that is stopped holds on, and loses the lock when it is killed', limits, async t => {
  const directory = await temporaryDirectory(t);
  const first = await startContender(t, ['serve', directory]);
  await first.untilSaid('held');
  first.kill('SIGSTOP');
  const second = await startContender(t, ['hold', directory]);
  await second.untilSaid('waiting');
  await assert.rejects(second.untilSaid('held', 1500));
  await expectTakeover(first, second, 'SIGKILL');
});

test('a process that has lost sight of its lock holds it all the same', limits, async t => {
  const directory = await temporaryDirectory(t);
  const first = await startContender(t, ['forget', directory], [], ['--expose-gc']);
  await first.untilSaid('held');
  assert.equal(await tryNodeLock(directory), undefined);
});

test('the lock holds between containers that have nothing but the directory in common', limits, async t => {
  const directory = await temporaryDirectory(t);
  const [shared, here, there] = ['shared', 'here', 'there'].map(name => join(directory, name));
  assert.ok(shared && here && there);
  for (const path of [shared, here, there]) await mkdir(path);
  const bind = (place: string) => [
    ...ownNamespaces,
    'mount --bind "$0" "$1" && shift && exec "$@"',
    shared,
    place,
  ];

  const first = await startContender(t, ['serve', here], bind(here));
  await first.untilSaid('held');
  assert.deepEqual((await readdir(shared)).sort(), ['agent.lock', 'agent.sock']);
  const second = await startContender(t, ['serve', there], bind(there));
  await second.untilSaid('waiting');
  await expectTakeover(first, second, 'SIGKILL');
});

test('a state directory whose path is too long for a socket is waited for too', limits, async t => {
  const directory = join(await temporaryDirectory(t), 'long'.repeat(40));
  const first = await startContender(t, ['hold', directory]);
  await first.untilSaid('held');
  const second = await startContender(t, ['hold', directory]);
  await second.untilSaid('waiting');
  await expectTakeover(first, second, 'SIGKILL');
});

for (const end of ['free', 'remove'] as const)
  test(`ten that are killed at random and ${end} the lock never hold it at the same time`, {
    timeout: 120_000,
  }, async t => {
    const directory = await temporaryDirectory(t);
    const journal = join(directory, 'journal');
    await writeFile(journal, '');
    const holds = async () => (await readFile(journal, 'utf8')).match(/^held/gm)?.length ?? 0;
    const start = () => startContender(t, ['contend', join(directory, 'state'), journal, end]);
    const contenders = await Promise.all(Array.from({ length: 10 }, start));

    for (let round = 0; round < 30; round++) {
      const goal = (await holds()) + 5;
      await waitUntil(async () => (await holds()) >= goal, { what: 'five more holds', timeoutMs: 20_000 });
      // Every other time the one that holds it, as far as one can tell; else any.
      const holder = round % 2 === 0 ? Number(await readFile(`${journal}.holder`, 'utf8')) : undefined;
      const index = contenders.findIndex(({ pid }) => pid === holder);
      const victim = index >= 0 ? index : Math.floor(Math.random() * contenders.length);
      contenders[victim]?.kill('SIGKILL');
      contenders[victim] = await start();
    }
    for (const { complaints } of contenders) assert.equal(complaints(), '');
    assert.deepEqual((await readFile(journal, 'utf8')).match(/^.* came while .*$/gm), null);
  });

test('what cannot be locked is a failure that says what to do, and never a lock', limits, async t => {
  const directory = await temporaryDirectory(t);
  const cases: Readonly<Record<string, readonly [prepare: (path: string) => unknown, message: RegExp]>> = {
    garbage: [
      path => writeFile(path, 'garbage'),
      /agent\.lock.*: file is not a database; if the file is not empty, delete it/,
    ],
    directory: [path => mkdir(path), /agent\.lock.*: it is not a regular file; move it away/],
    pipe: [path => execFileSync('mkfifo', [path]), /: it is not a regular file; move it away/],
    link: [path => symlink('elsewhere', path), /: it is not a regular file; move it away/],
  };
  for (const [name, [prepare, message]] of Object.entries(cases)) {
    const stateDirectory = join(directory, name);
    await mkdir(stateDirectory);
    await prepare(join(stateDirectory, 'agent.lock'));
    await assert.rejects(tryNodeLock(stateDirectory), { name: 'Failure', message }, name);
  }
  await writeFile(join(directory, 'file'), '');
  const message = /file\/agent\.lock.*: a part of the path is not a directory; check the path/;
  await assert.rejects(tryNodeLock(join(directory, 'file')), { name: 'Failure', message });
});

for (const content of ['with', 'without'] as const)
  test(`a read-only state directory ${content} a lock file is a failure`, limits, async t => {
    const directory = await temporaryDirectory(t);
    const create = content === 'with' ? 'touch "$0/agent.lock" &&' : '';
    const script = `mount -t tmpfs -o size=64k none "$0" && ${create} mount -o remount,ro "$0" && exec "$@"`;
    const contender = await startContender(t, ['hold', directory], [...ownNamespaces, script, directory]);
    await contender.untilSaid('problem: ');
    assert.match(
      contender.said(),
      /^problem: locking .*agent\.lock.*: the file system is read-only; mount it read-write.*\n$/,
    );
  });

test('a problem is told once however often it is met, and ends when it is solved', limits, async t => {
  const directory = await temporaryDirectory(t);
  const file = join(directory, 'agent.lock');
  await writeFile(file, 'garbage');
  const problems: string[] = [];
  const options = {
    stateDirectory: directory,
    onWaiting: () => assert.fail('nobody holds it'),
    onProblem: ({ message }: Error) => void problems.push(message),
  };
  assert.equal(await waitForNodeLock({ ...options, signal: AbortSignal.timeout(2500) }), undefined);
  assert.equal(problems.length, 1);

  const waiting = waitForNodeLock({ ...options, signal: t.signal });
  await rm(file);
  const lock = await waiting;
  assert.ok(lock);
  lock.release();
  assert.equal(problems.length, 2);
});

test('one who waits stays connected to the control socket, and leaves when told to stop', limits, async t => {
  const directory = await temporaryDirectory(t);
  await take(t, directory);
  const connections = await listenTo(t, directory, () => undefined);
  let told = 0;
  const lock = await waitForNodeLock({
    stateDirectory: directory,
    signal: AbortSignal.timeout(1800),
    onWaiting: () => void told++,
    onProblem: failure => assert.fail(failure),
  });
  assert.equal(lock, undefined);
  assert.equal(told, 1);
  assert.equal(connections.length, 1);
  await waitUntil(() => connections.every(({ destroyed }) => destroyed), {
    what: 'its end',
    timeoutMs: 5000,
  });
});

test('a control socket that hangs up at once is not connected to in a busy loop', limits, async t => {
  const directory = await temporaryDirectory(t);
  await take(t, directory);
  const connections = await listenTo(t, directory, socket =>
    socket.end('HTTP/1.1 408 Request Timeout\r\n\r\n'),
  );
  await waitForNodeLock({
    stateDirectory: directory,
    signal: AbortSignal.timeout(1500),
    onWaiting: () => undefined,
    onProblem: failure => assert.fail(failure),
  });
  assert.ok(connections.length >= 5 && connections.length <= 16, `${connections.length} connections`);
});

/** Before a shell command: the mount, process and network namespaces of a container, gone with the process. */
const ownNamespaces = ['unshare', '--mount', '--net', '--pid', '--fork', '--kill-child', 'sh', '-c'];

type Contender = {
  readonly pid: number;
  readonly ended: Promise<unknown>;
  readonly said: () => string;
  readonly complaints: () => string;
  kill(signal: NodeJS.Signals): void;
  untilSaid(text: string, timeoutMs?: number): Promise<void>;
};

async function startContender(
  t: TestContext,
  args: readonly string[],
  through: readonly string[] = [],
  nodeArgs: readonly string[] = [],
): Promise<Contender> {
  const [file = '', ...rest] = [
    ...dieWithStarter('KILL'),
    ...through,
    process.execPath,
    ...nodeArgs,
    program,
    ...args,
  ];
  const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  await once(child, 'spawn');
  const ended = once(child, 'close');
  cleanUp(t, async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const [said, complaints] = [collect(child, 'stdout'), collect(child, 'stderr')];
  const untilSaid = (text: string, timeoutMs = 20_000) =>
    waitUntil(() => said().includes(text), { what: `"${text}" (${complaints()})`, timeoutMs });
  return { pid: child.pid ?? 0, ended, said, complaints, kill: signal => void child.kill(signal), untilSaid };
}

async function expectTakeover(first: Contender, second: Contender, signal: NodeJS.Signals): Promise<void> {
  assert.doesNotMatch(second.said(), /held/);
  first.kill(signal);
  await first.ended;
  await second.untilSaid('held', 1000);
}

/** Takes the lock for the time of the test. */
async function take(t: TestContext, directory: string): Promise<NodeLock> {
  const lock = await tryNodeLock(directory);
  assert.ok(lock);
  cleanUp(t, () => lock.release());
  return lock;
}

/** Listens on the control socket for the time of the test; returns the connections so far, growing. */
async function listenTo(
  t: TestContext,
  directory: string,
  greet: (socket: Socket) => unknown,
): Promise<readonly Socket[]> {
  const connections: Socket[] = [];
  const server = createServer(socket => {
    connections.push(socket);
    greet(socket.resume());
  });
  cleanUp(t, () => {
    for (const socket of connections) socket.destroy();
    server.close();
  });
  server.listen(controlSocketPath(directory));
  await once(server, 'listening');
  return connections;
}

function collect(child: ChildProcess, name: 'stdout' | 'stderr'): () => string {
  let text = '';
  child[name]?.setEncoding('utf8').on('data', chunk => {
    text += chunk;
  });
  return () => text;
}
