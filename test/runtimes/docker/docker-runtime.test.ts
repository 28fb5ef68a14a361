import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { type TestContext, test } from 'node:test';
import { waitUntil } from '../../sandbox/wait-until.ts';
import { connectSmall, type DockerAnswer, hang, json, silent } from './small-docker.ts';

const limits = { timeout: 20_000 };
const never = new AbortController().signal;

test('images are listed by their full names, and what has no name is left out', limits, async t => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const { runtime } = await connectSmall(t, {
    '/images/json': json([
      { Id: 'sha256:1', RepoTags: ['nginx:1.27', 'r.io/a:1'], RepoDigests: [`nginx@${digest}`] },
      { Id: 'sha256:2', RepoTags: ['<none>:<none>'], RepoDigests: ['<none>@<none>'] },
      { Id: 'sha256:3', RepoTags: null, RepoDigests: null },
      { Id: 'sha256:4', RepoTags: [], RepoDigests: [`team/app@${digest}`], Size: 5 },
    ]),
  });
  const image = (id: string) => ({ id, isPinned: false });
  assert.deepEqual(
    await runtime.listImages(never),
    new Map([
      ['docker.io/library/nginx:1.27', image('sha256:1')],
      ['r.io/a:1', image('sha256:1')],
      [`docker.io/library/nginx@${digest}`, image('sha256:1')],
      [`docker.io/team/app@${digest}`, image('sha256:4')],
    ]),
  );
});

test('a list of a thousand images with long names is read', limits, async t => {
  const images = Array.from({ length: 1_000 }, (_, index) => ({
    Id: `sha256:${index}`,
    RepoTags: [`r.io/${'x'.repeat(200)}/${index}:1`],
    Labels: { text: 'x'.repeat(5_000) },
  }));
  const { runtime } = await connectSmall(t, { '/images/json': json(images) });
  assert.equal((await runtime.listImages(never)).size, 1_000);
});

test('a call that fails says which and why, and the runtime is used further', limits, async t => {
  const endless: DockerAnswer = response => {
    const piece = Buffer.alloc(1_000_000, ' ');
    const go = () => {
      while (!response.destroyed && response.write(piece));
      response.once('drain', go);
    };
    go();
  };
  const answers: Record<string, DockerAnswer> = {};
  const { runtime } = await connectSmall(t, {
    '/images/json': (...args) => answers.list?.(...args),
    '/info': response => response.destroy(),
    '/containers/json': json('none'),
  });
  const cases = [
    [json({ message: 'server is not ready' }, 503), /: server is not ready$/],
    [json({}, 404), /: it answers with the HTTP status 404$/],
    [json([{ RepoTags: [] }]), /: what it answers is not understood$/],
    [(response => response.end('[{},')) as DockerAnswer, /: what it answers is not understood$/],
    [(response => response.end('[{"Id":}]')) as DockerAnswer, /: what it answers is not understood$/],
    [(response => response.end('[')) as DockerAnswer, /: the list ends in the middle$/],
    [(response => response.end()) as DockerAnswer, /: the list ends in the middle$/],
    [json({ Id: 'a' }), /: what comes is no JSON object$/],
    [json([{ Id: '\u001b[2J' }]), /: what it answers is not understood$/],
    [(response => response.destroy()) as DockerAnswer, /: other side closed$/],
    [endless, /: it sends more than 8388608 bytes$/],
    [
      json({ message: `a\u001b[2J https://u:pw@r.io/b?sig=secret ${'x'.repeat(60_000)}` }, 500),
      /: a \[2J https:\/\/r\.io\/b\?\.\.\. x{500,1000}$/,
    ],
  ] as const;
  for (const [answer, says] of cases) {
    answers.list = answer;
    await assert.rejects(runtime.listImages(never), error => {
      assert.match(`${error}`, /^Failure: listing the images of the container runtime: /);
      assert.match(`${error}`, says);
      return true;
    });
  }
  await assert.rejects(
    runtime.imageDirectory(never),
    /^Failure: asking for the image file system of the .*: other side closed$/,
  );
  await assert.rejects(runtime.hasPods(never), /^Failure: listing the pods of the .* is no JSON object$/);
});

test('pods are known by the label of cri-dockerd, and those that do not run are none', limits, async t => {
  let containers: unknown[] = [];
  let filters: string | null = null;
  const { runtime } = await connectSmall(t, {
    '/containers/json': (response, url, request) => {
      filters = url.searchParams.get('filters');
      json(containers)(response, url, request);
    },
  });
  assert.equal(await runtime.hasPods(never), false);
  assert.equal(filters, '{"label":["io.kubernetes.docker.type=podsandbox"],"status":["running"]}');
  containers = [{ Id: '0' }];
  assert.equal(await runtime.hasPods(never), true);
});

test('the images are where the engine says, or where its store has them', limits, async t => {
  const containerdStore = [['driver-type', 'io.containerd.snapshotter.v1']];
  const own = { Address: '/var/run/docker/containerd/containerd.sock' };
  const cases: readonly (readonly [object, string | undefined])[] = [
    [{ DockerRootDir: '/data/docker', DriverStatus: [['Backing Filesystem', 'extfs']] }, '/data/docker'],
    [{ DockerRootDir: '/data/containers', DriverStatus: null }, '/data/containers'],
    [{}, undefined],
    [{ DockerRootDir: '/data', DriverStatus: containerdStore, Containerd: own }, '/data/containerd/daemon'],
    [
      {
        DockerRootDir: '/d',
        DriverStatus: containerdStore,
        Containerd: { Address: '/run/containerd/containerd.sock' },
      },
      '/var/lib/containerd',
    ],
    [{ DockerRootDir: '/d', DriverStatus: containerdStore }, '/var/lib/containerd'],
  ];
  const paths = [
    'relative',
    '',
    '/var\u0000x',
    '/a\u001b]0;x\u0007',
    `/${'a'.repeat(4_095)}`,
    `/${'ä'.repeat(2_048)}`,
  ];
  let info: object = {};
  const { runtime } = await connectSmall(t, { '/info': (...args) => json(info)(...args) });
  const noPaths = paths.map(path => [{ DockerRootDir: path }, undefined] as const);
  const otherForms = [{ DockerRootDir: 5 }, { DriverStatus: [['a', 1]], DockerRootDir: '/d' }, []];
  for (const [answer, directory] of [
    ...cases,
    ...noPaths,
    ...otherForms.map(form => [form, undefined] as const),
  ]) {
    info = answer;
    assert.equal(await runtime.imageDirectory(never), directory, JSON.stringify(answer));
  }
});

test(
  'where the images are is unknown if the engine does not tell, or a proxy before it forbids that',
  limits,
  async t => {
    const refusals: readonly DockerAnswer[] = [
      json({ message: 'forbidden' }, 403),
      response => response.end('<html>'),
      json({ DockerRootDir: '/data', Name: 'x'.repeat(70_000) }),
    ];
    for (const refusal of refusals) {
      const { runtime } = await connectSmall(t, { '/info': refusal });
      assert.equal(await runtime.imageDirectory(never), undefined);
    }
  },
);

test('every deletion is told to whoever watches, until he does not want it any more', limits, async t => {
  let tell: (event: object) => void = () => {};
  const { runtime, asked, end } = await connectSmall(t, {
    '/events': (response, url, request) => {
      silent(response, url, request);
      tell = event => response.write(JSON.stringify(event));
    },
  });
  assert.match(decodeURIComponent(asked[1] ?? ''), /\{"type":\["image"\],"event":\["delete","untag"\]\}/);
  const agent = new AbortController();
  const counts = { first: 0, second: 0 };
  const stop = new AbortController();
  const first = runtime.watchDeletions?.(() => counts.first++, AbortSignal.any([agent.signal, stop.signal]));
  const second = assert.rejects(
    runtime.watchDeletions?.(() => counts.second++, agent.signal) ?? Promise.resolve(),
    /lost/,
  );
  tell({ Action: 'untag' });
  tell({ Action: 'delete' });
  await waitUntil(() => `${Object.values(counts)}` === '2,2', { what: 'both', timeoutMs: 5_000 });
  stop.abort();
  await first;
  tell({ Action: 'delete' });
  await waitUntil(() => `${Object.values(counts)}` === '2,3', { what: 'one more for one', timeoutMs: 5_000 });
  end();
  await second;
  assert.equal(getEventListeners(agent.signal, 'abort').length, 0);
});

test('events that are no more told, or in another way, are the end of the connection', limits, async t => {
  const ends: Record<string, (response: Parameters<DockerAnswer>[0]) => void> = {
    'their end': response => response.end(),
    'what is no event': response => response.write('<html>'),
    'an event without end': response => response.write(`{"a":"${'x'.repeat(2_000_000)}`),
  };
  for (const [what, end] of Object.entries(ends))
    await t.test(what, async t => {
      let events: Parameters<DockerAnswer>[0] | undefined;
      const { runtime } = await connectSmall(t, {
        '/events': (response, url, request) => {
          events = response;
          silent(response, url, request);
        },
      });
      assert.ok(events);
      end(events);
      assert.equal(await runtime.closed, 'the connection was lost');
    });
});

/** A connection to an engine that takes calls and answers none, on a clock whose two seconds pass when `look` is called. */
async function connectHanging(t: TestContext, ping: DockerAnswer, create: DockerAnswer = silent) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const small = await connectSmall(t, { '/_ping': ping, '/images/create': create, '/images/json': hang });
  let closed: string | undefined;
  void small.runtime.closed.then(reason => {
    closed = reason;
  });
  const look = async (times: number) => {
    for (let time = 0; time < times; time++) {
      t.mock.timers.tick(2_000);
      // Both ends are in this process: after some turns, whatever was asked at this look is answered.
      for (let turn = 0; turn < 100; turn++) await new Promise(resolve => setImmediate(resolve));
    }
  };
  return { ...small, look, closed: () => closed };
}

test('an engine that answers nothing any more is given up after twelve seconds', limits, async t => {
  const { runtime, look, closed, underWay } = await connectHanging(t, hang);
  const pull = assert.rejects(
    runtime.pull({ name: 'r.io/a:1' }, never),
    /runtime does not answer: the runtime does not answer any more; look whether it hangs/,
  );
  await waitUntil(() => underWay() === 2, { what: 'the pull', timeoutMs: 5_000 });
  await look(5);
  assert.equal(closed(), undefined);
  await look(1);
  assert.equal(closed(), 'the runtime does not answer any more; look whether it hangs');
  await pull;
});

test('one that is slow with all but a ping is kept, and so is one whose ping fails', limits, async t => {
  for (const ping of [json('OK'), json({ message: 'not now' }, 500)])
    await t.test(async t => {
      const { runtime, look, closed, underWay } = await connectHanging(t, ping);
      const list = assert.rejects(runtime.listImages(never), /the connection was closed/);
      const pull = assert.rejects(runtime.pull({ name: 'r.io/a:1' }, never));
      await waitUntil(() => underWay() === 3, { what: 'the calls', timeoutMs: 5_000 });
      await look(20);
      assert.equal(closed(), undefined);
      runtime.close();
      await Promise.all([list, pull]);
    });
});

test('every step of a pull is a sign of life', limits, async t => {
  let step: () => void = () => {};
  const { runtime, look, closed, asked, underWay } = await connectHanging(t, hang, response => {
    step = () => response.write('{"status":"Extracting","id":"a"}');
  });
  const pull = assert.rejects(runtime.pull({ name: 'r.io/a:1' }, never));
  await waitUntil(() => underWay() === 2, { what: 'the pull', timeoutMs: 5_000 });
  const before = asked.length;
  for (let time = 0; time < 20; time++) {
    step();
    await look(1);
  }
  assert.deepEqual([closed(), asked.length], [undefined, before]);
  runtime.close();
  await pull;
});

test('an engine of which nothing is asked may be silent, and is asked nothing', limits, async t => {
  const { asked, look, closed } = await connectHanging(t, hang);
  const before = asked.length;
  await look(20);
  assert.deepEqual([closed(), asked.length], [undefined, before]);
});
