import assert from 'node:assert/strict';
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanTargets } from '../../agent/credentials/clean-targets.ts';
import type { Entry } from '../../agent/credentials/entry.ts';
import { Ownership } from '../../agent/credentials/ownership.ts';
import { reconcileTarget } from '../../agent/credentials/target.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { basicEntry } from './entries.ts';

const limits = { timeout: 30_000 };
const docker = '/root/.docker/config.json';
const legacy = '/root/.dockercfg';

/** A node with these files, each made long ago. */
async function node(t: TestContext, files: Readonly<Record<string, string | Buffer>> = {}) {
  const hostRoot = await temporaryDirectory(t);
  const stateDirectory = join(hostRoot, 'state');
  await mkdir(join(hostRoot, 'state'));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(hostRoot, path)), { recursive: true });
    await writeFile(join(hostRoot, path), content);
    await utimes(join(hostRoot, path), new Date(0), new Date(0));
  }
  /** Every start of the agent reads the record anew. */
  const write = async (path: string, ...entries: readonly Entry[]) => {
    const ownership = await Ownership.load(stateDirectory);
    return await reconcileTarget({ path, hostRoot, stateDirectory, ownership }, entries);
  };
  const clean = () => cleanTargets(hostRoot, stateDirectory);
  return { hostRoot, write, clean, everything: () => everythingIn(hostRoot) };
}

/** Every file, link and directory below, with content and mode, but for the state directory's own. */
async function everythingIn(hostRoot: string): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const name of (await readdir(hostRoot, { recursive: true })).toSorted()) {
    if (name.startsWith('state/')) continue;
    const path = join(hostRoot, name);
    const stats = await lstat(path);
    const content = stats.isSymbolicLink()
      ? `-> ${await readlink(path)}`
      : stats.isFile()
        ? (await readFile(path)).toString('base64')
        : '';
    lines.push(`${name} ${(stats.mode & 0o7777).toString(8)} ${content}`);
  }
  return lines;
}

const theirs =
  '{ "psFormat" :"x",\n"auths":{"b.io":{"auth":"eDp5"}, "a.io" : {"auth":"eDp5"},"bad.io":3}, "psFormat":"y"}\n\n';

test(
  'every kind of file is as it was, to the byte, and so are its mode and what is around it',
  limits,
  async t => {
    const cases: readonly (readonly [path: string, content: string | Buffer | undefined])[] = [
      [docker, undefined],
      [docker, theirs],
      [docker, '{}'],
      [docker, ''],
      [docker, 'garbage'],
      [docker, Buffer.from([0xff, 0x00, 0x7b])],
      [legacy, '{"b.io": {"auth": "eDp5", "email": "x"}}'],
      [legacy, '[b.io]\nauth = eDp5\n'],
    ];
    for (const [path, content] of cases) {
      const { hostRoot, write, clean, everything } = await node(
        t,
        content === undefined ? {} : { [path]: content },
      );
      if (content !== undefined) await chmod(join(hostRoot, path), 0o644);
      const before = await everything();
      for (const password of ['one', 'two', 'two']) {
        const { state, problem } = await write(
          path,
          basicEntry('a.io', password),
          basicEntry('c.io', password),
        );
        assert.deepEqual([state, problem], ['current', null], `${path} ${content}`);
      }
      assert.equal((await lstat(join(hostRoot, path))).mode & 0o777, 0o600);
      assert.deepEqual(await clean(), [{ path, ok: true, problem: null }]);
      assert.deepEqual(await everything(), before, `${path} ${content}`);
      assert.deepEqual(await clean(), [], 'a second time there is nothing to do');
      assert.deepEqual(await everything(), before);
    }
  },
);

test('what is revoked is restored in the same way, without anybody cleaning', limits, async t => {
  const { write, everything } = await node(t, { [docker]: theirs });
  const before = await everything();
  await write(docker, basicEntry('a.io'));
  await write(docker);
  assert.deepEqual(await everything(), before);
});

test(
  'a link within its directory is a link again, and what it leads to was never touched',
  limits,
  async t => {
    const { hostRoot, write, clean, everything } = await node(t, { '/root/.docker/real.json': theirs });
    await symlink('real.json', join(hostRoot, docker));
    const before = await everything();
    await write(docker, basicEntry('a.io'));
    assert.ok((await lstat(join(hostRoot, docker))).isFile());
    await clean();
    assert.deepEqual(await everything(), before);
  },
);

test(
  'a directory that stood in the place of the file is there again, with what is in it',
  limits,
  async t => {
    const { hostRoot, write, clean, everything } = await node(t, { [`${docker}/theirs`]: 'x' });
    const before = await everything();
    for (const password of ['one', 'two'])
      assert.equal((await write(docker, basicEntry('a.io', password))).state, 'current');
    assert.ok((await lstat(join(hostRoot, docker))).isFile());
    assert.deepEqual(await clean(), [{ path: docker, ok: true, problem: null }]);
    assert.deepEqual(await everything(), before);
    // Killed between moving the directory aside and writing the file.
    await write(docker, basicEntry('a.io'));
    await rm(join(hostRoot, docker));
    await clean();
    assert.deepEqual(await everything(), before);
  },
);

test('what somebody else wrote since stays, and only ours is taken out', limits, async t => {
  const { hostRoot, write, clean } = await node(t, { [docker]: theirs });
  const file = join(hostRoot, docker);
  await write(docker, basicEntry('a.io'));
  // docker login does so: a whole new file with one entry more.
  const changed = JSON.parse(await readFile(file, 'utf8'));
  changed.auths['new.io'] = { auth: 'eDp6' };
  await writeFile(file, JSON.stringify(changed));
  // The agent writes on top of it, which must not make it forget that somebody else did.
  await write(docker, basicEntry('a.io', 'rotated'));
  await clean();
  const { auths, psFormat } = JSON.parse(await readFile(file, 'utf8'));
  assert.deepEqual(auths, {
    'b.io': { auth: 'eDp5' },
    'a.io': { auth: 'eDp5' },
    'new.io': { auth: 'eDp6' },
    'bad.io': 3,
  });
  assert.equal(psFormat, 'y');
});

test(
  'a file that others removed is not brought back, and one that others filled is not removed',
  limits,
  async t => {
    const removed = await node(t, { [docker]: '{"auths": {"b.io": {"auth": "eDp5"}}}' });
    await removed.write(docker, basicEntry('a.io'));
    await rm(join(removed.hostRoot, docker));
    await removed.clean();
    await assert.rejects(lstat(join(removed.hostRoot, docker)), { code: 'ENOENT' });

    const filled = await node(t);
    await filled.write(docker, basicEntry('a.io'));
    await writeFile(join(filled.hostRoot, docker), '{"auths": {"b.io": {"auth": "eDp5"}}}');
    await writeFile(join(filled.hostRoot, '/root/.docker/other'), '');
    await filled.write(docker, basicEntry('a.io'));
    await filled.clean();
    assert.deepEqual(JSON.parse(await readFile(join(filled.hostRoot, docker), 'utf8')), {
      auths: { 'b.io': { auth: 'eDp5' } },
    });
  },
);

test('a target that cannot be cleaned is told, and stays ours until it can', limits, async t => {
  const { hostRoot, write, clean, everything } = await node(t, { [docker]: theirs });
  const before = await everything();
  await write(docker, basicEntry('a.io'));
  await rename(join(hostRoot, docker), join(hostRoot, 'elsewhere.json'));
  await symlink('../../elsewhere.json', join(hostRoot, docker));
  const [result] = await clean();
  assert.equal(result?.ok, false);
  assert.match(result?.problem ?? '', /symbolic link that leads out of its directory/);
  await rm(join(hostRoot, docker));
  await rename(join(hostRoot, 'elsewhere.json'), join(hostRoot, docker));
  assert.deepEqual(
    (await clean()).map(({ ok }) => ok),
    [true],
  );
  assert.deepEqual(await everything(), before);
});

test('without its record, or with that of another node, nothing is taken for ours', limits, async t => {
  const { hostRoot, write, clean } = await node(t, { [docker]: '{"auths": {"b.io": {"auth": "eDp5"}}}' });
  const other = await node(t, {});
  await other.write(docker, basicEntry('a.io', 'of the other node'));
  await write(docker, basicEntry('a.io'));
  const written = await readFile(join(hostRoot, docker), 'utf8');

  await rm(join(hostRoot, 'state'), { recursive: true });
  assert.deepEqual(await clean(), []);
  assert.equal(await readFile(join(hostRoot, docker), 'utf8'), written);

  await rename(join(other.hostRoot, 'state'), join(hostRoot, 'state'));
  await clean();
  assert.equal(await readFile(join(hostRoot, docker), 'utf8'), written);
});

test(
  'after a kill the file of before does not come back over what somebody else has written since',
  limits,
  async t => {
    const { hostRoot, write, clean } = await node(t, { [docker]: '{"auths": {"a.io": {"auth": "eDp5"}}}' });
    await write(docker, basicEntry('r.io'));
    await writeFile(
      join(hostRoot, docker),
      '{"auths": {"a.io": {"auth": "eDp5"}, "b.io": {"auth": "eDp5"}}}',
    );
    // The record of what came of it is not written, as if we were killed before.
    const stateDirectory = join(hostRoot, 'state');
    const ownership = await Ownership.load(stateDirectory);
    let records = 0;
    const record: Ownership['record'] = async (...args) => {
      if (++records > 1) throw new Error('killed');
      await ownership.record(...args);
    };
    const broken = {
      of: (path: string) => ownership.of(path),
      digest: (value: string) => ownership.digest(value),
      digestBytes: (bytes: string | Uint8Array) => ownership.digestBytes(bytes),
      copies: ownership.copies,
      record,
    };
    await reconcileTarget({ path: docker, hostRoot, stateDirectory, ownership: broken }, [
      basicEntry('r.io'),
    ]);
    assert.equal(records, 2);
    await clean();
    assert.deepEqual(JSON.parse(await readFile(join(hostRoot, docker), 'utf8')), {
      auths: { 'a.io': { auth: 'eDp5' }, 'b.io': { auth: 'eDp5' } },
    });
  },
);

test(
  'what somebody appended to our file stays, and our secret does not, in it or in a copy',
  limits,
  async t => {
    const secret = basicEntry('a.io').auth?.reveal() ?? '';
    for (const again of [false, true]) {
      const { hostRoot, write, clean } = await node(t);
      const file = join(hostRoot, docker);
      await write(docker, basicEntry('a.io'));
      const ours = await readFile(file, 'utf8');
      assert.ok(ours.includes(secret));
      await writeFile(file, `${ours}oops\n`);
      await utimes(file, new Date(0), new Date(0));
      // With an agent that writes it anew, the broken one is kept as a copy.
      if (again) assert.equal((await write(docker, basicEntry('a.io'))).state, 'current');
      assert.deepEqual(await clean(), [{ path: docker, ok: true, problem: null }]);
      const left = (await everythingIn(join(hostRoot, again ? 'state/replaced' : 'root'))).join('\n');
      const content = Buffer.from(left.split(' ').at(-1) ?? '', 'base64').toString();
      assert.match(content, /oops/);
      assert.ok(!content.includes(secret), content);
    }
  },
);

test('a record that cannot be understood is no clean node: what is ours cannot be told', limits, async t => {
  const { hostRoot, write, clean } = await node(t);
  await write(docker, basicEntry('a.io'));
  await writeFile(join(hostRoot, 'state/ownership.json'), '{"torn');
  for (let time = 0; time < 2; time++) {
    const [result, ...more] = await clean();
    assert.deepEqual([result?.ok, more], [false, []]);
    assert.match(
      result?.problem ?? '',
      /look for them in the docker config files, and then delete this file/,
    );
  }
  await rm(join(hostRoot, 'state/ownership.json.unreadable'));
  assert.deepEqual(await clean(), []);
});

test('a copy of the file of before that was damaged is not put back', limits, async t => {
  const { hostRoot, write, clean } = await node(t, { [docker]: '{"auths": {"b.io": {"auth": "eDp5"}}}' });
  await write(docker, basicEntry('a.io'));
  const [copy = ''] = await readdir(join(hostRoot, 'state/originals'));
  await writeFile(join(hostRoot, 'state/originals', copy), '{"aut');
  const [result] = await clean();
  assert.match(result?.problem ?? '', /gone or damaged, so ours is taken out of what is there/);
  assert.deepEqual(JSON.parse(await readFile(join(hostRoot, docker), 'utf8')).auths, {
    'b.io': { auth: 'eDp5' },
  });
});

test('of a file that is broken again and again the newest twenty are kept', limits, async t => {
  const { hostRoot, write } = await node(t);
  for (let time = 0; time < 25; time++) {
    await writeFile(join(hostRoot, docker), `garbage ${time}`).catch(() => undefined);
    await utimes(join(hostRoot, docker), new Date(0), new Date(0)).catch(() => undefined);
    await write(docker, basicEntry('a.io'));
  }
  assert.equal((await readdir(join(hostRoot, 'state/replaced'))).length, 20);
});

test(
  'a record of the first agents is understood: what they wrote is ours, and what they displaced is put back',
  limits,
  async t => {
    const { hostRoot, write, clean } = await node(t, { [docker]: '{"auths": {"a.io": {"auth": "eDp5"}}}' });
    await write(docker, basicEntry('a.io'), basicEntry('c.io'));
    const path = join(hostRoot, 'state/ownership.json');
    const { key, targets } = JSON.parse(await readFile(path, 'utf8'));
    const [{ entries }] = targets;
    entries[0].displaced = '{"auth": "eDp5"}';
    await writeFile(
      path,
      JSON.stringify({ version: 1, key, targets: [{ path: docker, created: false, entries }] }),
    );
    const { state, foreign } = await write(docker, basicEntry('a.io', 'new'), basicEntry('c.io'));
    assert.deepEqual([state, foreign], ['current', 0]);
    assert.deepEqual(await clean(), [{ path: docker, ok: true, problem: null }]);
    assert.deepEqual(JSON.parse(await readFile(join(hostRoot, docker), 'utf8')), {
      auths: { 'a.io': { auth: 'eDp5' } },
    });
  },
);
