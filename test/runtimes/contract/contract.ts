import { describe } from 'node:test';
import type { TestedRuntime } from '../tested-runtimes.ts';
import { endsPullsThatAreCancelled } from './cancellation.ts';
import { pullsWithCredentials } from './credentials.ts';
import { tellsWhyAPullFails } from './failures.ts';
import { leavesNothingBehind } from './leaks.ts';
import { tellsWhenItsDaemonIsLost } from './lost-daemons.ts';
import { tellsWhatIsThere } from './presence.ts';
import { tellsProgress } from './progress.ts';

/** What must hold on every runtime. What one cannot do beyond that is a capability that it does not have. */
export function holdsTheContract(tested: TestedRuntime): void {
  // Much of it is waiting: for what is slow, or for nothing to come.
  describe(`${tested.name} as a runtime`, { concurrency: 4 }, () => {
    tellsWhenItsDaemonIsLost(tested);
    tellsWhyAPullFails(tested);
    tellsProgress(tested);
    endsPullsThatAreCancelled(tested);
    pullsWithCredentials(tested);
    tellsWhatIsThere(tested);
  });
  describe(`${tested.name} in the long run`, () => leavesNothingBehind(tested));
}
