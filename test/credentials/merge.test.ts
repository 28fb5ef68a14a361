import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type MergeResult, mergeDockerConfig } from '../../agent/credentials/merge.ts';
import { nothingOwned, type OwnedTarget } from '../../agent/credentials/ownership-record.ts';
import { planEntries } from '../../agent/credentials/planned-entry.ts';
import { parseDockerConfigText } from '../../agent/docker-config/docker-config-text.ts';
import { isVoidingForKubelet } from '../../agent/docker-config/kubelet-reading.ts';
import { basicEntry } from './entries.ts';

/** Digests need only tell equal values from others here. */
const digest = (rawValue: string) => JSON.stringify(JSON.parse(rawValue));

type Owned = Pick<OwnedTarget, 'created' | 'entries' | 'aside'>;

function entry(registry: string, password?: string) {
  const [planned] = planEntries([basicEntry(registry, password)], '/config.json');
  assert.ok(planned);
  return planned;
}

function merge(
  text: string | undefined,
  entries: readonly ReturnType<typeof entry>[],
  owned: Owned = nothingOwned,
) {
  const existing = text === undefined ? undefined : { text, config: parseDockerConfigText(text) };
  return mergeDockerConfig({
    existing,
    form: 'dockerconfigjson',
    isVoiding: isVoidingForKubelet,
    entries,
    owned,
    digest,
  });
}

function displaced({ aside, entries }: MergeResult): readonly string[] {
  return [...aside.keys()].filter(registry => entries.has(registry));
}

function authsOf(text: string | undefined): Record<string, unknown> {
  return JSON.parse(text ?? '{}').auths;
}

const ours = { auth: Buffer.from('user:ours').toString('base64') };

test('a file that is not there is made, and removed when nothing is left in it', () => {
  const made = merge(undefined, [entry('a.io')]);
  assert.deepEqual(JSON.parse(made.text ?? ''), { auths: { 'a.io': ours } });
  assert.equal(made.created, true);
  const emptied = merge(made.text, [], made);
  assert.equal(emptied.text, undefined);
  assert.deepEqual([emptied.created, emptied.entries.size, emptied.aside.size], [false, 0, 0]);
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
  const revoked = merge(merged.text, [], merged);
  assert.deepEqual(JSON.parse(revoked.text ?? ''), { credsStore: 'x', auths: { 'b.io': { auth: 'eDp5' } } });
  assert.deepEqual([revoked.created, revoked.entries.size, revoked.aside.size], [false, 0, 0]);
});

test('an entry that ours takes the place of is kept aside and put back', () => {
  const theirs = '{"auths": {"a.io": {"auth": "eDp5", "email": "x@y"}}}';
  const merged = merge(theirs, [entry('a.io')]);
  assert.deepEqual(authsOf(merged.text), { 'a.io': ours });
  assert.deepEqual(displaced(merged), ['a.io']);
  const rotated = merge(merged.text, [entry('a.io', 'new')], merged);
  const revoked = merge(rotated.text, [], rotated);
  assert.deepEqual(authsOf(revoked.text), { 'a.io': { auth: 'eDp5', email: 'x@y' } });
});

test('an entry of theirs that says the same as ours is left to them when ours goes', () => {
  const theirs = JSON.stringify({ auths: { 'a.io': ours } });
  const merged = merge(theirs, [entry('a.io')]);
  assert.equal(merged.text, theirs, 'nothing needs to be written');
  const revoked = merge(merged.text, [], merged);
  assert.deepEqual(authsOf(revoked.text), { 'a.io': ours });
});

test('an entry of ours that somebody changed is theirs: kept aside while ours is wanted, left alone after', () => {
  const merged = merge(undefined, [entry('a.io')]);
  const changed = '{"auths": {"a.io": {"auth": "eDp5"}}}';
  assert.deepEqual(authsOf(merge(changed, [], merged).text), { 'a.io': { auth: 'eDp5' } });
  const repaired = merge(changed, [entry('a.io')], merged);
  assert.deepEqual(authsOf(repaired.text), { 'a.io': ours });
  assert.deepEqual(authsOf(merge(repaired.text, [], repaired).text), { 'a.io': { auth: 'eDp5' } });
});

test("somebody else's entry that would void the file is kept aside while ours is there, and put back after", () => {
  const theirs = '{"auths": {"bad.io": {"auth": "nocolon"}, "b.io": {"auth": "eDp5"}}}';
  assert.equal(merge(theirs, []).text, theirs, 'it is not ours to mend');
  const merged = merge(theirs, [entry('a.io')]);
  assert.deepEqual(authsOf(merged.text), { 'b.io': { auth: 'eDp5' }, 'a.io': ours });
  assert.deepEqual([[...merged.aside], displaced(merged)], [[['bad.io', '{"auth": "nocolon"}']], []]);
  const again = merge(merged.text, [entry('a.io')], merged);
  assert.equal(again.text, merged.text);
  assert.deepEqual(authsOf(merge(again.text, [], again).text), JSON.parse(theirs).auths);
});

test('what was kept aside is not put back over what somebody has written there since', () => {
  const merged = merge('{"auths": {"bad.io": 3}}', [entry('a.io')]);
  const mended = JSON.stringify({ auths: { ...authsOf(merged.text), 'bad.io': { auth: 'eDp5' } } });
  const again = merge(mended, [entry('a.io')], merged);
  assert.deepEqual(authsOf(merge(again.text, [], again).text), { 'bad.io': { auth: 'eDp5' } });
});

test('what was kept aside is put back also if the file was lost or broken meanwhile', () => {
  const merged = merge('{"auths": {"a.io": {"auth": "eDp5"}}}', [entry('a.io')]);
  for (const found of [undefined, 'garbage']) {
    assert.deepEqual(authsOf(merge(found, [], merged).text), { 'a.io': { auth: 'eDp5' } }, found);
  }
});

test('who took our entry out of the file does not want the one back that it stood in for', () => {
  const merged = merge('{"auths": {"a.io": {"auth": "eDp5"}}}', [entry('a.io')]);
  const loggedOut = merge('{"auths": {}}', [entry('a.io')], merged);
  assert.deepEqual(authsOf(loggedOut.text), { 'a.io': ours });
  assert.deepEqual(authsOf(merge(loggedOut.text, [], loggedOut).text), {});
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
  assert.equal(merge(merged.text, [], merged).text, undefined);
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
      let state: { text: string | undefined; owned: Owned } = { text: start, owned: nothingOwned };
      for (const [number, registries] of generations.entries()) {
        const entries = registries.map(name => entry(name, `p${number}`));
        const merged = merge(state.text, entries, state.owned);
        assert.equal(merge(merged.text, entries, merged).text, merged.text);
        state = { text: merged.text, owned: merged };
      }
      const revoked = merge(state.text, [], state.owned);
      assert.deepEqual(parseDockerConfigText(revoked.text ?? ''), parseDockerConfigText(start ?? ''));
      assert.equal(revoked.text === undefined, start === undefined);
    }),
  );
});
