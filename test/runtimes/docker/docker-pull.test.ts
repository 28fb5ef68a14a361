import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { readdir } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { SecretText } from '../../../agent/base/secret-text.ts';
import { PullFailure } from '../../../agent/runtimes/pull-failure.ts';
import type { PullUnderWay, Runtime } from '../../../agent/runtimes/runtime.ts';
import { waitUntil } from '../../sandbox/wait-until.ts';
import {
  connectSmall,
  type DockerAnswer,
  type DockerAnswers,
  dockerVersion,
  hang,
  json,
  silent,
  tell,
} from './small-docker.ts';

const limits = { timeout: 20_000 };
const never = new AbortController().signal;
const name = 'r.io/a:1';
const done = { status: 'Status: Downloaded newer image for r.io/a:1' };

async function failureOf(runtime: Runtime, signal = never): Promise<PullFailure> {
  const failure = await runtime.pull({ name }, signal).catch(error => error);
  assert.ok(failure instanceof PullFailure, `${failure}`);
  assert.ok(failure.message.length < 1_500 && !/\p{Cc}/u.test(failure.message), failure.message);
  return failure;
}

const connect = (t: TestContext, create: DockerAnswers[string], more: DockerAnswers = {}) =>
  connectSmall(t, { '/images/create': create, ...more });

test('the name and the credential arrive, and none where there is none', limits, async t => {
  const got: unknown[] = [];
  const { runtime, asked } = await connect(t, (response, url, { headers }) => {
    const auth = headers['x-registry-auth'];
    got.push([url.searchParams.get('fromImage'), auth]);
    response.end(JSON.stringify(done));
  });
  const digest = `r.io:5000/a/b@sha256:${'0'.repeat(64)}`;
  // Its base64 has both characters that differ in the URL-safe alphabet, and ends with padding.
  const password = new SecretText('~~~???>>>ÿ');
  await runtime.pull({ name, credential: { username: 'user', password } }, never);
  await runtime.pull({ name: digest, credential: { identityToken: new SecretText('word') } }, never);
  await runtime.pull({ name }, never);
  const text = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64');
  const serveraddress = 'r.io';
  const expected = text({ username: 'user', password: '~~~???>>>ÿ', serveraddress });
  assert.match(expected, /\+.*\/.*=$|\/.*\+.*=$/);
  assert.deepEqual(got, [
    [name, expected.replaceAll('+', '-').replaceAll('/', '_')],
    [digest, text({ identitytoken: 'word', serveraddress: 'r.io:5000' })],
    [name, undefined],
  ]);
  assert.ok(asked.at(-1)?.startsWith('POST /v1.41/images/create?'));
});

test("Docker Hub's credential is sent with the name that docker keeps it by", limits, async t => {
  let auth = '';
  const { runtime } = await connect(t, (response, _url, { headers }) => {
    auth = Buffer.from(`${headers['x-registry-auth']}`, 'base64url').toString();
    response.end(JSON.stringify(done));
  });
  const credential = { username: 'user', password: new SecretText('word') };
  await runtime.pull({ name: 'docker.io/library/nginx:1', credential }, never);
  assert.equal(JSON.parse(auth).serveraddress, 'https://index.docker.io/v1/');
});

test('what a pull is shown of its credential is not told, nor kept', limits, async t => {
  const password = new SecretText('S3CRET pass/w0rd');
  const secrets = ['S3CRET pass/w0rd', 'S3CRET%20pass', 'S3CRET+pass'];
  const basic = Buffer.from('robot:S3CRET pass/w0rd').toString('base64');
  const echo =
    (tellIt: (message: string) => DockerAnswer): DockerAnswer =>
    (response, url, request) => {
      const header = `${request.headers['x-registry-auth']}`;
      const message = `denied: robot has ${password.reveal()}, Basic ${basic}, ${header}, S3CRET%20pass%2Fw0rd`;
      secrets.push(header.slice(0, 20));
      tellIt(message)(response, url, request);
    };
  for (const create of [
    echo(message => tell([JSON.stringify({ errorDetail: { message }, error: message })])),
    echo(message => json({ message }, 500)),
  ]) {
    const { runtime } = await connect(t, create);
    const pull = runtime.pull({ name, credential: { username: 'robot', password } }, never);
    const failure = await pull.catch(error => error);
    const hidden = '\\[secret\\]';
    assert.match(
      failure.message,
      new RegExp(`^denied: robot has ${hidden}, Basic ${hidden}, ${hidden}, ${hidden}; check`),
    );
    assert.equal(failure.kind, 'auth');
    const shown = inspect(failure, { depth: 10 });
    for (const secret of [...secrets, basic]) assert.ok(!shown.includes(secret), shown);
  }
});

test('a stream is read to its end, wherever its pieces end', limits, async t => {
  const layer = (status: string, more: object = {}) => ({ status, id: 'f61b4d9082d1', ...more });
  const steps = [
    { status: 'Pulling from a', id: '1' },
    layer('Pulling fs layer', { progressDetail: {} }),
    layer('Downloading', { progressDetail: { current: 1, total: 3 }, progress: '[=\u003e  ]' }),
    layer('Pull complete'),
    { status: 'Digest: sha256:7d40' },
    done,
  ];
  const text = steps.map(step => JSON.stringify(step)).join('');
  for (const size of [1, 2, 7, 50, 1_000]) {
    const pieces = text.match(new RegExp(`.{1,${size}}`, 'gs')) ?? [];
    await t.test(`${size}`, async t => (await connect(t, tell(pieces))).runtime.pull({ name }, never));
  }
});

const step = JSON.stringify({ status: 'Pulling fs layer', id: 'f61b4d9082d1' });

test('a stream that does not end as it should is no success', limits, async t => {
  const cases: Record<string, DockerAnswer> = {
    'it ends without a word that it is done': tell([step]),
    'it is empty': tell([]),
    'it ends within an object': tell([step, '{"status":"Sta']),
    'it ends within an object after the word that it is done': tell([JSON.stringify(done), '{"status":']),
    'it is cut off': tell([step], true),
    'it is cut off after the word that it is done': tell([JSON.stringify(done)], true),
    'what is done is a layer': tell([step, JSON.stringify({ ...done, id: 'f61b4d9082d1' })]),
  };
  const unreadable: Record<string, DockerAnswer> = {
    'there is what is no JSON in it': tell([step, '<html>', JSON.stringify(done)]),
    'there is what only looks like JSON in it': tell([step, '{"status":}', JSON.stringify(done)]),
    'there is what is no step in it': tell([step, '{"status":5}', JSON.stringify(done)]),
    'there is what never ends in it': tell([step, '{"status":"', ...Array(300).fill('x'.repeat(10_000))]),
  };
  for (const [what, create] of Object.entries({ ...cases, ...unreadable }))
    await t.test(what, async t => {
      const { runtime, underWay } = await connect(t, create);
      const failure = await failureOf(runtime);
      assert.equal(failure.kind, what in cases ? 'runtime' : 'unknown', failure.message);
      assert.deepEqual(await runtime.listImages(never), new Map(), 'the runtime is used further');
      await waitUntil(() => underWay() === 1, { what: 'the end of all but the events', timeoutMs: 5_000 });
    });
});

test('what cannot be known of the progress is left out, and fails no pull', limits, async t => {
  const id = 'f61b4d9082d1';
  const odd = [
    `{"status":"Downloading","id":"${id}","progressDetail":{"current":5,"total":-1}}`,
    `{"status":"Downloading","id":"${id}","progressDetail":{"current":null,"total":1e400}}`,
    `{"status":"Downloading","id":"${id}","progressDetail":{"current":1.5e308,"total":1.7e308}}`,
    `{"status":"Downloading","id":"${id}","progressDetail":{"current":6.5,"total":"7"}}`,
    `{"status":"Downloading","id":"${id}","progressDetail":[]}`,
    '{"status":"x","id":null,"progressDetail":null,"errorDetail":null,"error":null}',
    '{"status":null,"id":5,"error":""}',
  ];
  const { runtime } = await connect(t, tell([step, ...odd, JSON.stringify(done)]));
  await runtime.pull({ name }, never);
  const progress = await runtime.progress?.([{ name } as PullUnderWay], never);
  assert.deepEqual(progress?.images.get(name), { bytesDone: 5, bytesTotal: null, awaitsBytes: true });
});

test('an error in the stream fails the pull, whatever comes after it', limits, async t => {
  const message = 'no matching manifest for linux/amd64 in the manifest list entries';
  for (const error of [
    { errorDetail: { message }, error: message },
    { errorDetail: { message } },
    { error: message },
  ])
    await t.test(Object.keys(error).join(), async t => {
      const { runtime } = await connect(t, tell([step, JSON.stringify(error), JSON.stringify(done)]));
      const failure = await failureOf(runtime);
      assert.deepEqual([failure.kind, failure.message.split(';')[0]], ['platform', message]);
    });
  await t.test('one without a word', async t => {
    const { runtime } = await connect(t, tell(['{"errorDetail":{}}']));
    assert.match((await failureOf(runtime)).message, /^it does not say why; look into the log/);
  });
});

test('an answer that is no 200 fails the pull with its message', limits, async t => {
  const message = 'manifest for r.io/a:1 not found: manifest unknown: manifest unknown';
  const cases = [
    [json({ message }, 404), 'not-found', /^manifest for r\.io\/a:1 not found: /],
    [json({ cause: 'x', message, response: 500 }, 500), 'not-found', /^manifest for/],
    [json({ errorDetail: { message }, error: message }, 500), 'not-found', /^manifest for/],
    [tell(['<html>']), 'unknown', /no JSON object/],
    ...[302, 401, 403, 404, 429, 500, 503].map(
      status =>
        [json(['x'], status), 'runtime', new RegExp(`refuses to pull: .* status ${status};`)] as const,
    ),
    [
      json({ message: 'authorization denied by plugin foo: no' }, 403),
      'runtime',
      /refuses to pull: auth.* no;/,
    ],
  ] as const;
  for (const [create, kind, says] of cases)
    await t.test(`${says}`, async t => {
      const failure = await failureOf((await connect(t, create)).runtime);
      assert.equal(failure.kind, kind);
      assert.match(failure.message, says);
    });
});

test('podman, which has no word for the end, is asked what is there', limits, async t => {
  const id = 'ff28edfef4a019d9f8b0223b0eaf68e9a63d938f856b7cc4372350111259624a';
  const podman: DockerAnswers = {
    '/version': json({ ...dockerVersion, Components: [{ Name: 'Podman Engine' }] }),
    '/v20.10.24/libpod/info': json({ host: { eventLogger: 'file' } }),
  };
  const last = JSON.stringify({ status: 'Download complete', progressDetail: {}, id: id.slice(0, 12) });
  const list = (images: unknown) => ({ ...podman, '/images/json': json(images) });
  const listed = { Id: `sha256:${id}`, RepoTags: [name], RepoDigests: null };
  for (const [what, images] of Object.entries({
    'the image that was told last': [{ Id: '00' }, listed],
    'the same by its digest': [{ Id: id, RepoTags: null, RepoDigests: ['r.io/a@sha256:00', name] }],
  }))
    await t.test(what, async t => {
      const { runtime } = await connect(t, tell([step, last]), list(images));
      await runtime.pull({ name }, never);
    });
  for (const [what, images] of Object.entries({
    'another one, which the tag was on before': [{ ...listed, Id: 'sha256:00' }],
    'the image under another name': [{ ...listed, RepoTags: ['r.io/a:2'] }],
    none: [],
  }))
    await t.test(what, async t => {
      const { runtime } = await connect(t, tell([step, last]), list(images));
      const { kind, message } = await failureOf(runtime);
      assert.equal(kind, 'runtime');
      assert.match(message, /stopped telling in the middle of the pull; it goes on/);
    });
});

test('a pull that is cancelled ends, on both sides, and hundreds leave nothing behind', limits, async t => {
  let round = 0;
  const { runtime, underWay } = await connect(t, (...args) => (round++ % 2 === 0 ? hang : silent)(...args));
  const agent = new AbortController();
  const openFiles = async () => (await readdir('/proc/self/fd')).length;
  const before = await openFiles();
  for (let times = 0; times < 5; times++) {
    const pulls = Array.from({ length: 100 }, () => {
      const cancel = new AbortController();
      return { cancel, done: failureOf(runtime, AbortSignal.any([agent.signal, cancel.signal])) };
    });
    await waitUntil(() => underWay() === 101, { what: 'all pulls', timeoutMs: 5_000 });
    for (const { cancel } of pulls) cancel.abort();
    await Promise.all(pulls.map(({ done }) => done));
    await waitUntil(() => underWay() === 1, { what: 'the end of all but the events', timeoutMs: 5_000 });
  }
  assert.equal(getEventListeners(agent.signal, 'abort').length, 0);
  await waitUntil(async () => (await openFiles()) <= before + 2, {
    what: 'closed sockets',
    timeoutMs: 5_000,
  });
});

test('an engine that is gone fails what is under way and whatever comes, at once', limits, async t => {
  const { runtime, underWay, end } = await connect(t, hang);
  const pull = failureOf(runtime);
  await waitUntil(() => underWay() === 2, { what: 'the pull', timeoutMs: 5_000 });
  end();
  for (const failure of [await pull, await failureOf(runtime)]) {
    assert.equal(failure.kind, 'runtime');
    assert.match(failure.message, /^the container runtime does not answer: /);
  }
  assert.equal(await runtime.closed, 'the connection was lost');
  await assert.rejects(
    runtime.listImages(never),
    /^Failure: listing the images .*: the connection was lost$/,
  );
});
