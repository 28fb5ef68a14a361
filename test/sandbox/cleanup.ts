import type { TestContext } from 'node:test';

const steps = new WeakMap<TestContext, (() => unknown)[]>();

/**
 * Has `step` done after the test, also if the test fails. The last one registered is done first: what works in a
 * directory is ended before the directory goes. (The test runner's own hooks run the other way round, and stop at the
 * first that fails.)
 */
export function cleanUp(test: TestContext, step: () => unknown): void {
  const known = steps.get(test);
  if (known) known.push(step);
  else {
    const list = [step];
    steps.set(test, list);
    test.after(() => doAll(list));
  }
}

async function doAll(list: readonly (() => unknown)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of list.toReversed()) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, 'cleaning up after the test failed');
}
