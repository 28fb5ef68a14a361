import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '../../agent/status/metrics.ts';
import { toStatus } from '../../agent/status/status.ts';
import { board, imageState, targetState } from './boards.ts';

const metricsOf = (...change: Parameters<typeof board>) => new Metrics(() => toStatus(board(...change)));

test('metrics have the prefix and the text format, also with odd names', async () => {
  const targets = [targetState({ path: '/a"b\\c\nd' })];
  const metrics = metricsOf({ targets, images: { disk: null } });
  metrics.countWrite('/a"b');
  metrics.countPull(imageState('a:1', { durationMs: 2_000 }));
  const text = await metrics.text();
  const told = new Set<string>();
  for (const line of text.split('\n').filter(line => line)) {
    const [, name] = /^# (?:HELP|TYPE) (\S+) \S/.exec(line) ?? [];
    if (name) told.add(name);
    else
      assert.match(
        line,
        /^pullready_[a-z_]+(\{([a-z]+="([^"\\\n]|\\["\\n])*",?)+\})? ([0-9.e+]+|Nan)$/,
        line,
      );
  }
  assert.ok(told.size > 8);
  for (const name of told) assert.match(name, /^pullready_[a-z_]+$/);
  assert.match(text, /^pullready_disk_free_bytes Nan$/m, 'what is not known is no number');
});

test('attempts are counted by how they ended, and the time of those that succeeded', async () => {
  const metrics = metricsOf();
  metrics.countPull(imageState('a:1', { durationMs: 2_000 }));
  metrics.countPull(imageState('a:1', { failure: { kind: 'auth', message: 'no' }, durationMs: 2_000 }));
  metrics.countPull(imageState('a:1', { failure: { kind: 'auth', message: 'no' } }));
  const text = await metrics.text();
  assert.match(text, /^pullready_pulls_total\{result="ok"\} 1$/m);
  assert.match(text, /^pullready_pulls_total\{result="auth"\} 2$/m);
  assert.match(text, /^pullready_pull_duration_seconds_count 1$/m);
  assert.match(text, /^pullready_pull_duration_seconds_sum 2$/m);
});

test('gauges follow the status, and forget what it no longer has', async () => {
  let state = board({ images: { images: [imageState('a:1', { state: 'pulling' }), imageState('b:1')] } });
  const metrics = new Metrics(() => toStatus(state));
  const before = await metrics.text();
  assert.match(before, /^pullready_ready 0$/m);
  assert.match(before, /^pullready_images\{state="pulling"\} 1$/m);
  assert.match(before, /^pullready_source_entries\{source="team-a",state="current"\} 0$/m);
  assert.match(before, /^pullready_target_current\{target="\/var\/lib\/kubelet\/config.json"\} 1$/m);
  state = board({ sources: [], targets: [] });
  const after = await metrics.text();
  assert.match(after, /^pullready_ready 1$/m);
  assert.match(after, /^pullready_images\{state="pulling"\} 0$/m);
  assert.match(after, /^pullready_runtime_connected 1$/m);
  assert.doesNotMatch(after, /team-a|kubelet/);
});
