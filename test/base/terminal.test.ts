import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Terminal } from '../../agent/base/terminal.ts';

function record(isTTY: boolean) {
  const written: string[] = [];
  const terminal = new Terminal({ isTTY, columns: 20, write: text => written.push(text) });
  return { terminal, written };
}

test('lines scroll above the status line, which is cut to the width', () => {
  const { terminal, written } = record(true);
  terminal.showStatus('pulling something that is long');
  terminal.write('a line\n');
  terminal.showStatus('');
  terminal.write('the end\n');
  const clear = '\r\u001b[K';
  assert.deepEqual(written, [
    `${clear}pulling something t`,
    `${clear}a line\npulling something t`,
    clear,
    'the end\n',
  ]);
});

test('an unchanged status is not drawn again, and nowhere but on a terminal', () => {
  const { terminal, written } = record(true);
  terminal.showStatus('x');
  terminal.showStatus('x');
  assert.equal(written.length, 1);
  const file = record(false);
  file.terminal.showStatus('x');
  file.terminal.write('line\n');
  assert.deepEqual(file.written, ['line\n']);
});
