import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { cleanUp } from '../sandbox/cleanup.ts';

/**
 * Swaps the `config.json` of a kubelet-style volume 500 times, up to 3 ms apart, from another process and with nothing
 * between the rename and the removal of the old generation, so that a reader is met in the middle. The content of the
 * swap number N is `N`, 50,000 blanks, and `N` again. `ended` resolves when all swaps are done.
 */
export function startSwaps(test: TestContext, volume: string) {
  const swapper = spawn(process.execPath, ['--input-type=module', '--eval', program, volume], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  cleanUp(test, () => swapper.kill('SIGKILL'));
  const swaps = {
    done: false,
    ended: once(swapper, 'exit').then(([status]) => {
      swaps.done = true;
      assert.equal(status, 0);
    }),
  };
  return swaps;
}

const program = `
  import { mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
  import { join } from 'node:path';
  const [, volume] = process.argv;
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let number = 1; number <= 500; number++) {
    const old = readlinkSync(join(volume, '..data'));
    const next = '..' + number;
    mkdirSync(join(volume, next));
    writeFileSync(join(volume, next, 'config.json'), number + ' '.repeat(50_000) + number);
    symlinkSync(next, join(volume, '..data_tmp'));
    renameSync(join(volume, '..data_tmp'), join(volume, '..data'));
    rmSync(join(volume, old), { recursive: true });
    Atomics.wait(clock, 0, 0, 3 * Math.random());
  }`;
