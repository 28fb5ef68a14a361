import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { Journal } from '../../agent/status/journal.ts';
import { Metrics } from '../../agent/status/metrics.ts';
import { toStatus } from '../../agent/status/status.ts';
import { board, imageState, targetState } from './boards.ts';

function record() {
  const lines: { level: number; msg: string }[] = [];
  const log = pino({ level: 'info' }, { write: line => lines.push(JSON.parse(line)) });
  const metrics = new Metrics(() => toStatus(board()));
  const journal = new Journal(log, metrics);
  const said = () => lines.splice(0).map(({ msg }) => msg);
  return { journal, said, counted: () => metrics.text() };
}

test('what stays as it is is said once, and what changes is said again', () => {
  const { journal, said } = record();
  const credentials = (change: Parameters<typeof board>[0] = {}) => {
    const { credentials: state } = board(change);
    if (state) journal.credentials(state);
  };
  credentials();
  assert.deepEqual(said(), ['secret read', 'credentials are current']);
  credentials();
  assert.deepEqual(said(), []);
  const failed = targetState({ state: 'failed', problem: 'writing it: no' });
  credentials({ targets: [failed] });
  credentials({ targets: [failed] });
  assert.deepEqual(said(), ['writing it: no']);
  credentials({ targets: [targetState({ written: true })] });
  assert.deepEqual(said(), ['credentials written']);
  credentials({ sources: [] });
  assert.deepEqual(said(), ['secret is gone, its entries are revoked']);
});

test('an image is told when it is pulled, fails, is there and is gone, and its progress is not', () => {
  const { journal, said } = record();
  const image = (change: Parameters<typeof imageState>[1]) => journal.image(imageState('a:1', change));
  image({ state: 'pulling' });
  image({ state: 'pulling', bytesDone: 5 });
  image({ state: 'failed', failure: { kind: 'auth', message: 'denied' } });
  image({ state: 'pulling', failure: { kind: 'auth', message: 'denied' } });
  image({ state: 'present', bytesTotal: 1_000, durationMs: 100 });
  image({ state: 'waiting' });
  assert.deepEqual(said(), [
    'pulling',
    'denied (not tried again until something changes)',
    'pulling',
    'pulled 1.0 kB in 100ms',
    'is gone from the node',
  ]);
});

test('the problems of a config are told each, and that it is mended', () => {
  const { journal, said } = record();
  journal.config({ config: undefined, problems: ['config.yaml:1:1: no', 'config.yaml:2:1: no'] });
  assert.equal(said().length, 2);
  const { config } = board();
  if (config) journal.config(config);
  assert.deepEqual(said(), ['config read']);
});

test('it is told when the node becomes ready and when it no longer is', () => {
  const { journal, said } = record();
  const waiting = toStatus(board({ images: { images: [imageState('a:1')] } }));
  const ready = toStatus(
    board({ images: { images: [imageState('a:1', { state: 'present', warm: true })] } }),
  );
  for (const status of [waiting, ready, ready, waiting]) journal.readiness(status);
  assert.deepEqual(said(), ['ready: 1 of 1 images are there', 'no longer ready: image a:1 is waiting']);
});

test('an image that left the list in mid-pull was not pulled when it comes back', async () => {
  const { journal, said, counted } = record();
  const pulling = imageState('a:1', { state: 'pulling' });
  journal.image(pulling);
  journal.image({ ...pulling, listed: false });
  journal.image(imageState('b:1', { listed: false }));
  journal.image(imageState('a:1', { state: 'present', warm: true }));
  assert.deepEqual(said(), ['pulling', 'is no longer on the list']);
  assert.doesNotMatch(await counted(), /pulls_total\{/);
  journal.image(imageState('c:1', { state: 'pulling' }));
  journal.image(imageState('c:1', { state: 'present', warm: true, durationMs: 5 }));
  assert.match(await counted(), /pulls_total\{result="ok"\} 1/);
});

test('what is wrong with the image list is told once, each with where it stands', () => {
  const { journal, said } = record();
  const unusable = [{ image: 'A b', required: true, problem: 'it has a space in it (line 2, column 3)' }];
  const list = { unusable, listWarnings: ['image a:1 is listed twice'] };
  journal.imageList(list);
  journal.imageList(list);
  assert.deepEqual(said(), [
    'cannot be pulled: it has a space in it (line 2, column 3)',
    'image a:1 is listed twice',
  ]);
  journal.imageList({ unusable: [], listWarnings: [] });
  assert.deepEqual(said(), []);
});
