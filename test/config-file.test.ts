import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pino } from 'pino';
import { defaultConfig } from '../agent/config.ts';
import { type ConfigState, followConfig, readConfig } from '../agent/config-file.ts';
import { cleanUp } from './sandbox/cleanup.ts';
import { updateKubeletVolume } from './sandbox/kubelet-volume.ts';
import { temporaryDirectory } from './sandbox/temporary.ts';
import { waitUntil } from './sandbox/wait-until.ts';

const limits = { timeout: 20_000 };

test('a file that is not there means the default config', limits, async t => {
  const file = join(await temporaryDirectory(t), 'config.yaml');
  assert.deepEqual(await readConfig(file), { config: defaultConfig, problems: [] });
});

test('a file that cannot be read or used keeps the last good config and says why', limits, async t => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'config.yaml'));
  const unread = await readConfig(join(directory, 'config.yaml'), defaultConfig);
  assert.equal(unread.config, defaultConfig);
  assert.match(unread.problems.join(), /reading the config .*config.yaml: it is a directory/);
  assert.equal((await readConfig(join(directory, 'config.yaml'))).config, undefined);
});

test('a config that is being swapped is not taken for a missing one', limits, async t => {
  const file = join(await temporaryDirectory(t), 'config.yaml');
  await writeFile(file, 'pulls: { concurrency: 7 }');
  // The system answers as it does when the old content of the volume is removed while the file is being opened.
  const inject = ['-f', '-qq', '-o', '/dev/null', '-P', file, '-e', 'inject=openat:error=ENOENT:when=1'];
  const program = `
    import { readConfig } from ${JSON.stringify(new URL('../agent/config-file.ts', import.meta.url).href)};
    const { config, problems } = await readConfig(process.argv[1]);
    console.log(config?.pulls.concurrency, problems.length);`;
  const node = [process.execPath, '--input-type=module', '--eval', program, file];
  // One thread for files, because strace counts the calls of each thread.
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
  assert.equal(execFileSync('strace', [...inject, ...node], { encoding: 'utf8', env }), '7 0\n');
});

test('every change of the mounted config is seen, bad and good', limits, async t => {
  const volume = join(await temporaryDirectory(t), 'config');
  const states: ConfigState[] = [];
  const stop = new AbortController();
  await updateKubeletVolume(volume, { 'config.yaml': 'pulls: { concurrency: 1 }' });
  const log = pino({ enabled: false });
  const running = followConfig(
    { file: join(volume, 'config.yaml'), report: state => states.push(state), log },
    stop.signal,
  );
  cleanUp(t, async () => {
    stop.abort();
    await running;
  });
  const until = (what: string, condition: (last: ConfigState) => boolean) =>
    waitUntil(() => states.some(() => condition(states.at(-1) as ConfigState)), { what, timeoutMs: 5_000 });
  await until('the first', ({ config }) => config?.pulls.concurrency === 1);
  for (let concurrency = 2; concurrency < 6; concurrency++) {
    await updateKubeletVolume(volume, { 'config.yaml': `pulls: { concurrency: ${concurrency} }` });
    await until('the next', ({ config }) => config?.pulls.concurrency === concurrency);
  }
  await updateKubeletVolume(volume, { 'config.yaml': 'pulls: {' });
  await until(
    'the bad one',
    ({ config, problems }) => config?.pulls.concurrency === 5 && problems.length > 0,
  );
  await rm(volume, { recursive: true });
});
