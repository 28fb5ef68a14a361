import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { createLog } from '../../agent/base/log.ts';
import { SecretText } from '../../agent/base/secret-text.ts';

const limits = { timeout: 20_000 };
const logModule = new URL('../../agent/base/log.ts', import.meta.url).href;

/** What a process that logs some lines and is killed at once wrote to its standard output. */
function logged(options: object): string {
  const program = `
    import { createLog } from ${JSON.stringify(logModule)};
    const log = createLog({ ...${JSON.stringify(options)}, writeLine: () => {} });
    for (let line = 1; line <= 100; line++) log.info({ line }, 'pulled');
    process.kill(process.pid, 'SIGKILL');`;
  return spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' }).stdout;
}

test('a line is JSON where nobody watches, and is not lost when the process is killed', limits, () => {
  for (const options of [
    { level: 'info', format: 'json', terminal: true },
    { level: 'info', format: 'auto', terminal: false },
  ]) {
    const lines = logged(options).trimEnd().split('\n');
    assert.equal(lines.length, 100);
    const { time, ...rest } = JSON.parse(lines[99] ?? '');
    assert.deepEqual(rest, { level: 30, line: 100, msg: 'pulled' });
    assert.ok(Math.abs(Date.now() - Date.parse(time)) < 20_000, time);
  }
  assert.equal(logged({ level: 'warn', format: 'json', terminal: false }), '');
});

test('on a terminal a line is for people, and goes where lines go', () => {
  const lines: string[] = [];
  const log = createLog({
    level: 'info',
    format: 'auto',
    terminal: true,
    writeLine: line => lines.push(line),
  });
  log.info({ secret: new SecretText('hunter2') }, 'pulled');
  log.debug('not this');
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /INFO.*pulled.*\n$/s);
  assert.ok(!lines.join().includes('hunter2'));
});
