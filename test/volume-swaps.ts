import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { cleanUp } from './sandbox/cleanup.ts';

/** What is swapped and how. */
export type SwapOptions = {
  readonly volume: string;
  readonly key: string;
  readonly count: number;
  /** The longest pause between two swaps, in milliseconds. */
  readonly pauseMs: number;
  /** How many blanks stand in the content. */
  readonly padding: number;
};

/**
 * Swaps the one key of a kubelet-style volume again and again, from another process and with nothing between the
 * rename and the removal of the old generation, so that a reader is met in the middle. The content of the swap number
 * N is `N`, blanks, and `N` again. `ended` resolves when all swaps are done.
 */
export function startSwaps(test: TestContext, { volume, key, count, pauseMs, padding }: SwapOptions) {
  const numbers = [count, pauseMs, padding].map(String);
  const args = ['--input-type=module', '--eval', program, volume, key, ...numbers];
  const swapper = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
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
  const [, volume, key, count, pauseMs, padding] = process.argv;
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let number = 1; number <= Number(count); number++) {
    const old = readlinkSync(join(volume, '..data'));
    const next = '..' + number;
    mkdirSync(join(volume, next));
    writeFileSync(join(volume, next, key), number + ' '.repeat(Number(padding)) + number);
    symlinkSync(next, join(volume, '..data_tmp'));
    renameSync(join(volume, '..data_tmp'), join(volume, '..data'));
    rmSync(join(volume, old), { recursive: true });
    if (Number(pauseMs) > 0) Atomics.wait(clock, 0, 0, Number(pauseMs) * Math.random());
  }`;
