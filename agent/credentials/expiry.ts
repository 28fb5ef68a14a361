import { formatDuration } from '../base/duration.ts';
import type { Entry } from './entry.ts';
import type { Warning } from './warning.ts';

/**
 * An end that is nearer than this, in milliseconds, is told: the kubelet sees a new credential up to five minutes after
 * it was written, and somebody has to make one before that.
 */
const notice = 10 * 60_000;

/** How far two clocks may be apart without a word, in milliseconds. */
const clockTolerance = 60_000;

/** The time at which the next of the entries expires; null if none does after `now`. */
export function nextExpiry(entries: readonly Pick<Entry, 'expiresAt'>[], now: Date): Date | null {
  const times = entries.flatMap(({ expiresAt }) =>
    expiresAt && expiresAt > now ? [expiresAt.getTime()] : [],
  );
  return times.length === 0 ? null : new Date(times.reduce((a, b) => Math.min(a, b)));
}

/** What is to be said of the lifetimes of the entries. */
export function findLifetimeWarnings(entries: readonly Entry[], now: Date): readonly Warning[] {
  return entries.flatMap(entry => {
    const { registry, source, expiresAt, validFrom } = entry;
    const name = `the credential for ${JSON.stringify(registry)} of the Secret ${source}`;
    const about = [registry, source, expiresAt?.getTime(), validFrom?.getTime()].join(' ');
    const left = expiresAt ? expiresAt.getTime() - now.getTime() : Number.POSITIVE_INFINITY;
    if (expiresAt && left <= 0) {
      const text = `${name} expired at ${expiresAt.toISOString()} and was taken out; renew the Secret`;
      return [{ about: `expired ${about}`, text }];
    }
    const early = (validFrom?.getTime() ?? 0) - now.getTime();
    if (validFrom && early > clockTolerance) {
      const text = `${name} is not valid before ${validFrom.toISOString()}, in ${formatDuration(early)}; the clock of this node or of whoever made it is wrong`;
      return [{ about: `early ${about}`, text }];
    }
    if (left > notice) return [];
    const text = `${name} expires in ${formatDuration(left)}; renew the Secret, the kubelet sees that up to 5 minutes later`;
    return [{ about: `expiring ${about}`, text }];
  });
}
