import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { askHelper, type HelperAnswer, type HelperQuestion } from '../../agent/credentials/helper-program.ts';
import { cleanUp } from '../sandbox/cleanup.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { waitUntil } from '../sandbox/wait-until.ts';

const limits = { timeout: 30_000 };
const registry = 'registry.example.com';
const notFound = 'credentials not found in native keychain';

/** A directory with one program, `docker-credential-test`, whose shell script gets that directory as `$here`. */
async function directoryWith(t: TestContext, script: string): Promise<string> {
  const directory = await temporaryDirectory(t);
  await writeProgram(directory, script);
  return directory;
}

async function writeProgram(directory: string, script: string, suffix = 'test'): Promise<string> {
  const file = join(directory, `docker-credential-${suffix}`);
  await writeFile(file, `#!/bin/sh\nhere='${directory}'\n${script}\n`);
  await chmod(file, 0o755);
  return file;
}

function ask(directory: string, question: Partial<HelperQuestion> = {}): Promise<HelperAnswer> {
  return askHelper({
    directory,
    suffix: 'test',
    registry,
    signal: new AbortController().signal,
    timeoutMs: 10_000,
    ...question,
  });
}

/** The shell command that prints an answer of the protocol. */
function answering(fields: object): string {
  return `printf '%s\\n' '${JSON.stringify({ ServerURL: registry, ...fields })}'`;
}

function assertCredential(answer: HelperAnswer, username: string, secret: string): void {
  assert.equal(answer.kind, 'credential', JSON.stringify(answer));
  if (answer.kind !== 'credential') return;
  assert.equal(answer.username, username);
  assert.equal(answer.secret.reveal(), secret);
}

/** Asserts that the sentence names program and registry, and goes on with `problem`. */
function assertFailure(answer: HelperAnswer, problem: RegExp): void {
  assert.equal(answer.kind, 'failure', JSON.stringify(answer));
  if (answer.kind !== 'failure') return;
  const start = 'asking docker-credential-test for "registry.example.com": ';
  assert.ok(answer.problem.startsWith(start), answer.problem);
  assert.match(answer.problem.slice(start.length), problem);
}

/** Whether a process is there and is no mere zombie, for which whoever should wait has not done so yet. */
async function isAlive(pid: number): Promise<boolean> {
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return state !== '' && !/\) [ZX] /.test(state);
}

async function readPid(file: string): Promise<number> {
  const pid = Number(await readFile(file, 'utf8'));
  assert.ok(Number.isInteger(pid) && pid > 1, `no process id in ${file}`);
  return pid;
}

async function assertSoonGone(pid: number): Promise<void> {
  await waitUntil(async () => !(await isAlive(pid)), { what: `process ${pid} to be gone`, timeoutMs: 5_000 });
}

async function timed<T>(work: () => Promise<T>): Promise<readonly [value: T, milliseconds: number]> {
  const start = performance.now();
  const value = await work();
  return [value, performance.now() - start];
}

test('what a program knows of a registry is its answer', limits, async t => {
  const answer = answering({ Username: 'ann', Secret: 'p:w "x"' });
  const directory = await directoryWith(t, `cat > "$here/asked"; ${answer}`);
  assertCredential(await ask(directory), 'ann', 'p:w "x"');
  assert.equal(await readFile(join(directory, 'asked'), 'utf8'), registry, 'the registry, without a newline');
});

test('the user name <token> marks an identity token', limits, async t => {
  const answer = await ask(
    await directoryWith(t, answering({ Username: '<token>', Secret: 'refresh-token' })),
  );
  assert.equal(answer.kind === 'identity-token' && answer.token.reveal(), 'refresh-token');
});

test('an answer shows its secret to nobody who prints it', limits, async t => {
  const answer = await ask(await directoryWith(t, answering({ Username: 'ann', Secret: 'hush-hush' })));
  assertCredential(answer, 'ann', 'hush-hush');
  assert.doesNotMatch(JSON.stringify(answer), /hush/);
});

test('fields in another case are taken, as docker takes them', limits, async t => {
  const directory = await directoryWith(t, `printf '{"username":"ann","SECRET":"x","expires":1}'`);
  assertCredential(await ask(directory), 'ann', 'x');
});

test('a program sees the argument get and two variables, and the registry in neither', limits, async t => {
  process.env.PULLREADY_TEST_SECRET = 'inherited';
  cleanUp(t, () => delete process.env.PULLREADY_TEST_SECRET);
  const look =
    'cat /proc/$$/environ > "$here/environ"; cat /proc/$$/cmdline > "$here/cmdline"; pwd > "$here/pwd"';
  const directory = await directoryWith(t, `${look}; ${answering({ Username: 'ann', Secret: 'x' })}`);
  assertCredential(await ask(directory), 'ann', 'x');
  const [variables, words, cwd] = await Promise.all(
    ['environ', 'cmdline', 'pwd'].map(async name =>
      (await readFile(join(directory, name), 'utf8')).split('\0').filter(word => word !== ''),
    ),
  );
  assert.deepEqual(variables?.toSorted(), [
    'HOME=/',
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  ]);
  assert.deepEqual(words, ['/bin/sh', join(directory, 'docker-credential-test'), 'get']);
  assert.deepEqual(cwd, ['/\n']);
});

test(
  'each message of the protocol has its own sentence, and other output is not looked at',
  limits,
  async t => {
    const directory = await temporaryDirectory(t);
    for (const [script, problem] of [
      [`echo '${notFound}'; exit 1`, /^it knows none; give the node access/],
      [`printf '  ${notFound}\\n\\n'; exit 1`, /^it knows none;/],
      [`echo 'no credentials server URL'; exit 1`, /^it was given no registry; name/],
      [`echo 'no credentials username'; exit 1`, /^what it knows has no user name;/],
      [`echo '${notFound} for you'; exit 1`, /^it ended with status 1; run it by hand/],
      [`${answering({ Username: 'ann', Secret: 'x' })}; exit 3`, /^it ended with status 3;/],
      ['exit 255', /^it ended with status 255;/],
      ['kill -KILL $$', /^it was killed by SIGKILL;/],
      ['kill -SEGV $$', /^it was killed by SIGSEGV;/],
    ] as const) {
      await writeProgram(directory, script);
      assertFailure(await ask(directory), problem);
    }
  },
);

test('an answer that is no credential is refused with the reason', limits, async t => {
  const directory = await temporaryDirectory(t);
  for (const [script, problem] of [
    ['exit 0', /^what it printed is not JSON; see that it speaks docker's protocol/],
    [`echo '${notFound}'`, /^what it printed is not JSON;/],
    ['head -c 1000 /dev/urandom', /^what it printed is not JSON;/],
    [`printf '{"Username":"ann","Secret":"\\377"}'`, /^what it printed is not JSON;/],
    [`${answering({ Username: 'ann', Secret: 'x' })}; echo x`, /^what it printed is not JSON;/],
    ['echo "[]"', /^what it printed is not an object with Username and Secret as strings;/],
    [answering({ Username: 'ann', Secret: 1 }), /^what it printed is not an object with Username/],
    [answering({ Username: 'ann' }), /^its answer has no secret;/],
    [answering({ Username: 'ann', Secret: '' }), /^its answer has no secret;/],
    [answering({ Username: '', Secret: 'x' }), /^its answer has no user name;/],
    [answering({ Username: 'a:b', Secret: 'x' }), /^its user name has a colon/],
  ] as const) {
    await writeProgram(directory, script);
    assertFailure(await ask(directory), problem);
  }
});

test('a program that is not there, no file, not executable or elsewhere is not run', limits, async t => {
  const directory = await directoryWith(t, answering({ Username: 'ann', Secret: 'x' }));
  const askFor = async (suffix: string) => {
    const answer = await ask(directory, { suffix });
    assert.equal(answer.kind, 'failure');
    return answer.kind === 'failure' ? answer.problem.replace(directory, 'DIR') : '';
  };
  const elsewhere = await writeProgram(await temporaryDirectory(t), 'exit 0', 'out');
  await symlink(elsewhere, join(directory, 'docker-credential-out'));
  await symlink('nowhere', join(directory, 'docker-credential-lost'));
  await symlink('docker-credential-loop', join(directory, 'docker-credential-loop'));
  await symlink('docker-credential-test', join(directory, 'docker-credential-alias'));
  await mkdir(join(directory, 'docker-credential-dir'));
  await writeFile(join(directory, 'docker-credential-plain'), '#!/bin/sh\n');
  await writeFile(join(directory, 'docker-credential-foreign'), '#!/no/such/interpreter\n');
  await chmod(join(directory, 'docker-credential-foreign'), 0o755);

  const asking = (suffix: string) => `asking docker-credential-${suffix} for "${registry}": `;
  const bring = 'bring it there with the image or a mount';
  // Its name is not shown: somebody may have put a secret in its place.
  assert.match(
    await askFor('hush-hush'),
    /^asking a credential helper for "[^"]+": the program that the Secret names is not in DIR; there are docker-credential-alias, [^;]*; bring it there/,
  );
  assert.equal(await askFor('lost'), `${asking('lost')}it is a link that leads nowhere; ${bring}`);
  assert.match(await askFor('loop'), /: too many symbolic links; /);
  assert.match(await askFor('out'), /: it is a link that leads out of DIR; put the program itself there$/);
  assert.match(await askFor('dir'), /: it is no regular file; /);
  assert.match(await askFor('plain'), /: it is not executable; give it the mode 0755/);
  assert.match(await askFor('foreign'), /: the interpreter or loader that it names is missing; /);
  assertCredential(await ask(directory, { suffix: 'alias' }), 'ann', 'x');
  const gone = await ask(join(directory, 'gone'));
  assert.match(
    gone.kind === 'failure' ? gone.problem : gone.kind,
    /^asking a credential helper for "[^"]+": there is no directory .*gone; bring it there/,
  );
});

test('no path can be made of a suffix', limits, async t => {
  const directory = await directoryWith(t, answering({ Username: 'ann', Secret: 'x' }));
  for (const suffix of [
    '',
    '.',
    '..',
    '/test',
    'x/../docker-credential-test',
    '-test',
    'te st',
    'test\n',
    'a\0',
    'é',
  ]) {
    const answer = await ask(directory, { suffix });
    assert.match(
      answer.kind === 'failure' ? answer.problem : '',
      /^asking a credential helper for .*is not the name of a program/,
    );
  }
  const longest = await writeProgram(directory, answering({ Username: 'ann', Secret: 'x' }), 'x'.repeat(100));
  assertCredential(await ask(directory, { suffix: 'x'.repeat(100) }), 'ann', 'x');
  await writeFile(`${longest}x`, '');
  const tooLong = await ask(directory, { suffix: 'x'.repeat(101) });
  assert.match(tooLong.kind === 'failure' ? tooLong.problem : '', /is not the name of a program/);
  const long = await ask(directory, { suffix: 'x'.repeat(1_000_000) });
  assert.ok(long.kind === 'failure' && long.problem.length < 500);
});

test('a program that hangs is ended with all its children when the time is up', limits, async t => {
  const directory = await directoryWith(
    t,
    'trap "" TERM INT HUP; sleep 300 & echo $! > "$here/child"; echo $$ > "$here/self"; wait; wait',
  );
  const [answer, took] = await timed(() => ask(directory, { timeoutMs: 700 }));
  assertFailure(answer, /^it took too long and was ended; /);
  assert.ok(took >= 650 && took < 8_000, `took ${took} ms`);
  await assertSoonGone(await readPid(join(directory, 'self')));
  await assertSoonGone(await readPid(join(directory, 'child')));
});

test(
  'an abort ends a program and its children at once, and nothing is started after one',
  limits,
  async t => {
    const directory = await directoryWith(
      t,
      'sleep 300 & echo $! > "$here/child.new"; mv "$here/child.new" "$here/child"; wait',
    );
    const abort = new AbortController();
    const answered = ask(directory, { signal: abort.signal });
    const file = join(directory, 'child');
    await waitUntil(async () => (await readPid(file)) > 0, {
      what: 'the program to have a child',
      timeoutMs: 5_000,
    });
    const child = await readPid(file);
    assert.ok(await isAlive(child));
    const [answer, took] = await timed(() => {
      abort.abort(new Error('a reason that nobody needs'));
      return answered;
    });
    assertFailure(answer, /^it was ended, because the agent wants no answer any more$/);
    assert.ok(took < 8_000, `took ${took} ms`);
    await assertSoonGone(child);

    await writeProgram(directory, 'touch "$here/started"');
    assertFailure(await ask(directory, { signal: abort.signal }), /^it was ended/);
    await assert.rejects(readFile(join(directory, 'started')), { code: 'ENOENT' });
  },
);

test(
  'a program that prints without end is ended, also one that does not mind the closed pipe',
  limits,
  async t => {
    const directory = await temporaryDirectory(t);
    for (const script of [
      'echo $$ > "$here/self"; exec cat /dev/zero',
      'echo $$ > "$here/self"; trap "" PIPE; head -c 200000 /dev/zero; while :; do echo more; sleep 0.01; done 2>/dev/null',
      'echo $$ > "$here/self"; trap "" PIPE; head -c 65537 /dev/zero; exec sleep 300',
    ]) {
      await writeProgram(directory, script);
      const [answer, took] = await timed(() => ask(directory));
      assertFailure(answer, /^it printed more than 64 KiB; /);
      assert.ok(took < 8_000, `took ${took} ms`);
      await assertSoonGone(await readPid(join(directory, 'self')));
    }
  },
);

test('an answer may be as large as the limit', limits, async t => {
  const directory = await temporaryDirectory(t);
  const frame = JSON.stringify({ Username: 'ann', Secret: '' }).length;
  const secret = 's'.repeat(64 * 1024 - frame);
  await writeFile(join(directory, 'answer'), JSON.stringify({ Username: 'ann', Secret: secret }));
  await writeProgram(directory, 'cat "$here/answer"');
  assertCredential(await ask(directory), 'ann', secret);
});

test(
  'a program that does not read its question or closes its output early is no trouble',
  limits,
  async t => {
    const directory = await directoryWith(
      t,
      `exec 0<&-; ${answering({ Username: 'ann', Secret: 'x' })}; exec 1>&-; sleep 0.3`,
    );
    assertCredential(await ask(directory, { registry: 'r'.repeat(300_000) }), 'ann', 'x');
  },
);

test('children that a program leaves in its group are ended, and nobody waits for them', limits, async t => {
  const answer = answering({ Username: 'ann', Secret: 'x' });
  const directory = await directoryWith(t, `sleep 300 & echo $! > "$here/child"; ${answer}`);
  const [answered, took] = await timed(() => ask(directory));
  assertCredential(answered, 'ann', 'x');
  assert.ok(took < 8_000, `took ${took} ms`);
  await assertSoonGone(await readPid(join(directory, 'child')));
});

test(
  'a child that has left the group and holds the output open does not keep the answer back',
  limits,
  async t => {
    const stray = `setsid sh -c 'echo $$ > "'$here'/new"; mv "'$here'/new" "'$here'/child"; exec sleep 300' &`;
    const wait = 'while ! [ -e "$here/child" ]; do sleep 0.01; done';
    const directory = await directoryWith(
      t,
      `${stray}\n${wait}; ${answering({ Username: 'ann', Secret: 'x' })}`,
    );
    cleanUp(t, async () => process.kill(await readPid(join(directory, 'child')), 'SIGKILL'));
    const [answered, took] = await timed(() => ask(directory));
    assertCredential(answered, 'ann', 'x');
    assert.ok(took < 8_000, `took ${took} ms`);
    assert.ok(await isAlive(await readPid(join(directory, 'child'))), 'it did leave the group');
  },
);

const run = promisify(execFile);

/** Runs a process that asks for a credential, as the agent does; returns all that it printed. */
async function askElsewhere(
  directory: string,
  after: string,
  launcher: readonly string[] = [],
): Promise<string> {
  const code = `
    import { askHelper } from ${JSON.stringify(new URL('../../agent/credentials/helper-program.ts', import.meta.url))};
    const answered = askHelper({ directory: ${JSON.stringify(directory)}, suffix: 'test', registry: '${registry}',
      signal: new AbortController().signal, timeoutMs: 1_000 });
    ${after}`;
  const [file = '', ...args] = [...launcher, process.execPath, '--input-type=module', '--eval', code];
  const env = { ...process.env, NODE_DEBUG: 'execa' };
  const { stdout, stderr } = await run(file, args, { env, timeout: 20_000, killSignal: 'SIGKILL' });
  return stdout + stderr;
}

test(
  'the agent prints nothing of what a program said, whatever debugging is switched on',
  limits,
  async t => {
    const directory = await temporaryDirectory(t);
    for (const end of ['', '; exit 4']) {
      const answer = answering({ Username: 'ann', Secret: 'hush-hush' });
      await writeProgram(directory, `echo hush-hush >&2; ${answer}${end}`);
      const printed = await askElsewhere(directory, 'console.log("ANSWER", (await answered).kind);');
      assert.equal(printed, `ANSWER ${end === '' ? 'credential' : 'failure'}\n`);
    }
  },
);

test('an agent that exits takes the program and its children with it', limits, async t => {
  const directory = await directoryWith(
    t,
    'sleep 300 & echo $! > "$here/new"; mv "$here/new" "$here/child"; wait',
  );
  const poll = `
    const { existsSync } = await import('node:fs');
    setInterval(() => existsSync(${JSON.stringify(join(directory, 'child'))}) && process.exit(), 10);`;
  await askElsewhere(directory, poll);
  await assertSoonGone(await readPid(join(directory, 'child')));
});

test('a program that SIGKILL does not reach is given up', limits, async t => {
  const directory = await directoryWith(
    t,
    'echo $$ > "$here/self"; exec setpriv --reuid=65534 --clear-groups sleep 300',
  );
  cleanUp(t, async () => process.kill(await readPid(join(directory, 'self')), 'SIGKILL'));
  const withoutKill = ['setpriv', '--inh-caps=-kill', '--bounding-set=-kill'];
  const printed = await askElsewhere(
    directory,
    'console.log("ANSWER", (await answered).problem);',
    withoutKill,
  );
  assert.match(printed, /ANSWER .*: it had to be ended, and SIGKILL does not end it; /);
  assert.ok(await isAlive(await readPid(join(directory, 'self'))), 'it could indeed not be killed');
});

test("Amazon's helper fails cleanly where there is no Amazon", limits, async t => {
  const directory = await temporaryDirectory(t);
  // In a network namespace of its own, so that nothing leaves this machine; its log goes to its HOME.
  const script = 'export HOME="$here"; exec unshare --net docker-credential-ecr-login "$@"';
  await writeProgram(directory, script);
  const amazon = '123456789012.dkr.ecr.eu-central-1.amazonaws.com';
  const answer = await ask(directory, { registry: amazon, timeoutMs: 20_000 });
  const problem = answer.kind === 'failure' ? answer.problem : '';
  assert.ok(
    problem.startsWith(`asking docker-credential-test for "${amazon}": it knows none; give the node access`),
    problem,
  );
  assert.match(
    await readFile(join(directory, '.ecr', 'log', 'ecr-login.log'), 'utf8'),
    /error/i,
    'it did try',
  );
});

test('nothing that a program prints is in what is said of it', { timeout: 60_000 }, async t => {
  const directory = await directoryWith(t, 'cat "$here/output"; exit "$(cat "$here/status")"');
  const secret = fc.oneof(
    fc.string({ minLength: 8 }),
    fc.string({ minLength: 8, unit: 'binary' }),
    fc.base64String({ minLength: 8 }),
  );
  const shapes: readonly ((secret: string) => string)[] = [
    text => text,
    text => `${notFound} ${text}`,
    text => JSON.stringify(text),
    text => JSON.stringify([text]),
    text => JSON.stringify({ Username: text, Secret: 1 }),
    text => JSON.stringify({ Username: `${text}:`, Secret: text }),
    text => JSON.stringify({ Username: 'ann', Secret: { [text]: text } }),
    text => JSON.stringify({ Username: '', Secret: text }),
    text => JSON.stringify({ Username: 'ann', Secret: text }),
    text => `${JSON.stringify({ Username: 'ann', Secret: text })},`,
  ];
  const bytes = fc.oneof(
    fc
      .uint8Array({ minLength: 8, maxLength: 200 })
      .map(output => [Buffer.from(output), Buffer.from(output).toString('latin1')] as const),
    fc
      .tuple(secret, fc.constantFrom(...shapes))
      .map(([text, shape]) => [Buffer.from(shape(text)), text] as const),
  );
  await fc.assert(
    fc.asyncProperty(bytes, fc.constantFrom(0, 1, 2), async ([output, text], status) => {
      await writeFile(join(directory, 'output'), output);
      await writeFile(join(directory, 'status'), String(status));
      const seen = JSON.stringify(await ask(directory), (key, value) =>
        key === 'username' ? undefined : value,
      );
      for (let start = 0; start + 8 <= text.length; start += 1)
        assert.ok(!seen.includes(text.slice(start, start + 8)), seen);
    }),
    { numRuns: 150 },
  );
});
