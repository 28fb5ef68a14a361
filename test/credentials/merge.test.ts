import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SecretText } from '../../agent/base/secret-text.ts';
import { parseDockerConfigText } from '../../agent/credentials/docker-config-text.ts';
import type { Entry } from '../../agent/credentials/entry.ts';
import { mergeDockerConfig } from '../../agent/credentials/merge.ts';
import { nothingOwned, type OwnedTarget } from '../../agent/credentials/ownership.ts';

/** Digests need only tell equal values from others here. */
const digest = (rawValue: string) => JSON.stringify(JSON.parse(rawValue));

function entry(registry: string, password = 'ours'): Entry {
  const auth = new SecretText(Buffer.from(`user:${password}`).toString('base64'));
  return { registry, source: 'team-a', auth };
}

function merge(text: string | undefined, entries: readonly Entry[], owned: OwnedTarget = nothingOwned) {
  const existing = text === undefined ? undefined : { text, config: parseDockerConfigText(text) };
  return mergeDockerConfig({ existing, entries, owned, digest });
}

function authsOf(text: string | undefined): Record<string, unknown> {
  return JSON.parse(text ?? '{}').auths;
}

const ours = { auth: Buffer.from('user:ours').toString('base64') };

test('a file that is not there is made, and removed when nothing is left in it', () => {
  const made = merge(undefined, [entry('a.io')]);
  assert.deepEqual(JSON.parse(made.text ?? ''), { auths: { 'a.io': ours } });
  assert.equal(made.settled.created, true);
  const emptied = merge(made.text, [], made.settled);
  assert.equal(emptied.text, undefined);
  assert.deepEqual(emptied.settled, nothingOwned);
  assert.equal(merge(undefined, []).text, undefined);
});

test("other people's entries and keys stay, and the file stays theirs", () => {
  const theirs = '{"credsStore": "x", "auths": {"b.io": {"auth": "eDp5"}}}';
  const merged = merge(theirs, [entry('a.io')]);
  assert.deepEqual(JSON.parse(merged.text ?? ''), {
    credsStore: 'x',
    auths: { 'b.io': { auth: 'eDp5' }, 'a.io': ours },
  });
  assert.deepEqual(merged.foreign, ['b.io']);
  const revoked = merge(merged.text, [], merged.settled);
  assert.deepEqual(JSON.parse(revoked.text ?? ''), { credsStore: 'x', auths: { 'b.io': { auth: 'eDp5' } } });
  assert.deepEqual(revoked.settled, nothingOwned);
});

test('an entry that ours takes the place of is kept aside and put back', () => {
  const theirs = '{"auths": {"a.io": {"auth": "eDp5", "email": "x@y"}}}';
  const merged = merge(theirs, [entry('a.io')]);
  assert.deepEqual(authsOf(merged.text), { 'a.io': ours });
  assert.deepEqual(merged.displaced, ['a.io']);
  const rotated = merge(merged.text, [entry('a.io', 'new')], merged.settled);
  const revoked = merge(rotated.text, [], rotated.settled);
  assert.deepEqual(authsOf(revoked.text), { 'a.io': { auth: 'eDp5', email: 'x@y' } });
});

test('an entry of theirs that says the same as ours is left to them when ours goes', () => {
  const theirs = JSON.stringify({ auths: { 'a.io': ours } });
  const merged = merge(theirs, [entry('a.io')]);
  assert.equal(merged.text, theirs, 'nothing needs to be written');
  const revoked = merge(merged.text, [], merged.settled);
  assert.deepEqual(authsOf(revoked.text), { 'a.io': ours });
});

test('an entry of ours that somebody changed is theirs: kept aside while ours is wanted, left alone after', () => {
  const merged = merge(undefined, [entry('a.io')]);
  const changed = '{"auths": {"a.io": {"auth": "eDp5"}}}';
  assert.deepEqual(authsOf(merge(changed, [], merged.settled).text), { 'a.io': { auth: 'eDp5' } });
  const repaired = merge(changed, [entry('a.io')], merged.settled);
  assert.deepEqual(authsOf(repaired.text), { 'a.io': ours });
  assert.deepEqual(authsOf(merge(repaired.text, [], repaired.settled).text), { 'a.io': { auth: 'eDp5' } });
});

test('until the change is settled, both the old and the new value are known as ours', () => {
  const before = merge(undefined, [entry('a.io', 'old')]);
  const { entering, text } = merge(before.text, [entry('a.io', 'new')], before.settled);
  // Killed before the file was changed, and killed after it.
  for (const found of [before.text, text]) {
    assert.equal(merge(found, [], entering).text, undefined);
    assert.deepEqual(merge(found, [entry('a.io', 'new')], entering).displaced, []);
  }
});

test('a file that says what it should is not written, however it is formatted', () => {
  const text = `{"auths":{\n\n"a.io":   ${JSON.stringify(ours)}}}`;
  const merged = merge(text, [entry('a.io')]);
  assert.equal(merged.text, text);
});

test('a file that is no docker config is replaced, and only when there is something to write', () => {
  assert.equal(merge('garbage', []).text, 'garbage');
  const merged = merge('garbage', [entry('a.io')]);
  assert.deepEqual(authsOf(merged.text), { 'a.io': ours });
  assert.equal(merge(merged.text, [], merged.settled).text, undefined);
});

test('whatever the file held, it holds it again when all of ours is revoked, and merging twice changes nothing', () => {
  const registry = fc.oneof(fc.constantFrom('a.io', 'b.io', '__proto__', '10'), fc.string());
  const value = fc.oneof(
    fc.constant(ours),
    fc.json().map(text => JSON.parse(text)),
  );
  const file = fc.option(fc.dictionary(registry, value), { nil: undefined });
  const indent = fc.nat(3);
  const passwords = fc.array(fc.uniqueArray(registry, { maxLength: 4 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(file, indent, passwords, (auths, spaces, generations) => {
      const start = auths && JSON.stringify({ auths, x: { y: [1] } }, null, spaces);
      let state: { text: string | undefined; owned: OwnedTarget } = { text: start, owned: nothingOwned };
      for (const [number, registries] of generations.entries()) {
        const entries = registries.map(name => entry(name, `p${number}`));
        const merged = merge(state.text, entries, state.owned);
        assert.equal(merge(merged.text, entries, merged.settled).text, merged.text);
        state = { text: merged.text, owned: merged.settled };
      }
      const revoked = merge(state.text, [], state.owned);
      assert.deepEqual(parseDockerConfigText(revoked.text ?? ''), parseDockerConfigText(start ?? ''));
      assert.equal(revoked.text === undefined, start === undefined);
    }),
  );
});
