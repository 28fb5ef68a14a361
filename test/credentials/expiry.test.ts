import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Entry, makeEntry } from '../../agent/credentials/entry.ts';
import { findLifetimeWarnings, nextExpiry } from '../../agent/credentials/expiry.ts';
import { combineSources } from '../../agent/credentials/sources.ts';
import { isExpired } from '../../agent/credentials/token-lifetime.ts';
import { encodeBasicAuth } from '../../agent/docker-config/basic-auth.ts';
import { source } from '../status/boards.ts';
import { basicEntry } from './entries.ts';
import { ecrToken, webToken } from './tokens.ts';

const now = new Date('2026-03-01T12:00:00Z');
const seconds = now.getTime() / 1_000;

function token(registry: string, claims: { exp?: number; nbf?: number }, name = 'team-a'): Entry {
  return makeEntry({ registry, source: name, auth: encodeBasicAuth('u', webToken(claims).reveal()) });
}

function ecr(registry: string, left: number): Entry {
  return makeEntry({
    registry,
    source: 'team-a',
    auth: encodeBasicAuth('AWS', ecrToken(seconds + left).reveal()),
  });
}

test('an entry is taken out when its token ends, and is back with a new one, or when the clock is set right', () => {
  const entries = [token('a.io', { exp: seconds }), ecr('b.io', 1), basicEntry('c.io')];
  const inForce = (time: Date) => {
    const combined = combineSources([source({ entries })], time);
    return [combined.entries.map(({ registry }) => registry), combined.standings.map(({ state }) => state)];
  };
  assert.deepEqual(inForce(new Date(now.getTime() - 1)), [
    ['a.io', 'b.io', 'c.io'],
    ['written', 'written', 'written'],
  ]);
  assert.deepEqual(inForce(now), [
    ['b.io', 'c.io'],
    ['expired', 'written', 'written'],
  ]);
  assert.deepEqual(inForce(new Date('2036-01-01')), [['c.io'], ['expired', 'expired', 'written']]);
  assert.deepEqual(inForce(new Date(now.getTime() - 1))[0], ['a.io', 'b.io', 'c.io']);
});

test('an expired entry of a later Secret does not stand before a good one of an earlier', () => {
  const { entries, standings, conflicts } = combineSources(
    [
      source({ name: 'b', entries: [token('a.io', { exp: seconds - 1 }, 'b')] }),
      source({ name: 'a', entries: [basicEntry('a.io', 'p', 'a')] }),
      source({ name: 'c', entries: [], leftOut: ['x.io'] }),
    ],
    now,
  );
  assert.deepEqual(
    entries.map(entry => entry.source),
    ['a'],
  );
  assert.deepEqual(
    standings.map(standing => `${standing.registry} ${standing.source} ${standing.state}`),
    ['a.io a written', 'a.io b expired', 'x.io c invalid'],
  );
  assert.deepEqual(conflicts, []);
});

test('an end is told ten minutes before, with how long is left, and so is one that has passed', () => {
  const warnings = (entry: Entry) => findLifetimeWarnings([entry], now).map(({ text }) => text);
  assert.deepEqual(warnings(token('a.io', { exp: seconds + 601 })), []);
  assert.deepEqual(warnings(basicEntry('a.io')), []);
  assert.match(
    warnings(ecr('a.io', 599)).join(),
    /^the credential for "a.io" of the Secret team-a expires in 9m59s; renew/,
  );
  assert.match(
    warnings(token('a.io', { exp: seconds })).join(),
    /expired at 2026-03-01T12:00:00.000Z and was taken out/,
  );
});

test('what is told of one end is the same matter as the time goes by', () => {
  const about = (time: number) =>
    findLifetimeWarnings([ecr('a.io', 300)], new Date(time)).map(warning => warning.about);
  assert.deepEqual(about(now.getTime()), about(now.getTime() + 60_000));
  assert.notDeepEqual(about(now.getTime()), about(now.getTime() + 300_000));
});

test('a token that is not valid yet names the clock', () => {
  const early = token('a.io', { nbf: seconds + 3_600, exp: seconds + 7_200 });
  const [{ text } = { text: '' }] = findLifetimeWarnings([early], now);
  assert.match(
    text,
    /is not valid before 2026-03-01T13:00:00.000Z, in 1h; the clock of this node or of whoever made it/,
  );
  assert.deepEqual(
    findLifetimeWarnings([token('a.io', { nbf: seconds + 30 })], now),
    [],
    'clocks differ a little',
  );
  assert.equal(isExpired(early, now), false);
});

test('the next end is the earliest that is still to come', () => {
  const entries = [ecr('a.io', -5), ecr('b.io', 20), ecr('c.io', 10), basicEntry('d.io')];
  assert.deepEqual(nextExpiry(entries, now), new Date((seconds + 10) * 1_000));
  assert.equal(nextExpiry([basicEntry('d.io')], now), null);
});
