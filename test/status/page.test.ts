import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderPage } from '../../agent/status/page.ts';
import { toStatus } from '../../agent/status/status.ts';
import { board, imageState, source, targetState } from './boards.ts';

const page = (...change: Parameters<typeof board>) => renderPage(toStatus(board(...change)));

test('what others wrote is text on the page, and never markup', () => {
  const nasty = `<script>alert("1")</script>&'`;
  const secret = source({ name: nasty, state: 'invalid', problems: [nasty] });
  const shown = page({
    sources: [secret],
    targets: [targetState({ path: nasty, state: 'failed', problem: nasty })],
    credentials: { conflicts: [nasty] },
    images: {
      images: [imageState('a:1', { state: 'failed', failure: { kind: 'unknown', message: nasty } })],
      unusable: [{ image: nasty, required: true, problem: nasty }],
      runtime: {
        state: 'unavailable',
        name: null,
        version: null,
        endpoint: null,
        reason: null,
        problem: nasty,
        capabilities: null,
      },
      disk: { path: nasty, freeBytes: 1, keepFreeBytes: 1 },
      diskProblem: nasty,
    },
    board: { node: nasty, version: nasty, config: { config: undefined, problems: [nasty] } },
  });
  assert.ok(!shown.includes('<script'), shown);
  assert.ok(!shown.includes("&'"), 'also where it could end an attribute');
  const escaped = shown.match(/&lt;script&gt;alert\(&quot;1&quot;\)&lt;\/script&gt;&amp;&#39;/g) ?? [];
  assert.ok(escaped.length > 10, `${escaped.length}`);
});

test('a page shows every image with how far it is, and what is not ready', () => {
  const shown = page({
    images: {
      images: [
        imageState('a:1', { state: 'pulling', bytesDone: 500_000, bytesTotal: 2_000_000, attempts: 3 }),
        imageState('b:1', { state: 'present', warm: true, durationMs: 4_200 }, false),
        imageState('c:1', { state: 'pulling' }),
      ],
    },
  });
  assert.match(shown, /node-1 is not ready/);
  assert.match(shown, /1 of 3 images are there/);
  assert.match(
    shown,
    /<progress max="2000000" value="500000"><\/progress> 500\.0 kB of 2\.0 MB<\/td><td>3<\/td>/,
  );
  assert.match(shown, /b:1 \(optional\)<\/td>.*4\.2s/);
  assert.match(shown, /<li>image a:1 is pulling<\/li>/);
  assert.match(shown, /containerd 1\.6 at unix:\/\/\/x, because it is a test/);
});

test('a page of a node of which nothing is known yet says so', () => {
  const runtime = {
    state: 'none',
    name: null,
    version: null,
    endpoint: null,
    reason: null,
    problem: null,
    capabilities: null,
  } as const;
  const shown = page({
    images: { runtime, disk: null },
    board: { config: undefined, credentials: undefined },
  });
  for (const text of ['No images are listed.', 'No file is written yet.', 'No Secret is mounted.'])
    assert.ok(shown.includes(text), text);
  assert.match(shown, /no container runtime is used.*\n.*The room for images is not known/);
});
