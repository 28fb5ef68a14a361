import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretText } from '../../agent/base/secret-text.ts';
import { makeEntry } from '../../agent/credentials/entry.ts';
import type { SecretContent } from '../../agent/credentials/secret-volume.ts';
import { combineSources, nextSources, type Source } from '../../agent/credentials/sources.ts';
import { revealed } from './entries.ts';
import { webToken } from './tokens.ts';

function auth(password: string): string {
  return Buffer.from(`u:${password}`).toString('base64');
}

function document(auths: object): SecretContent {
  return {
    kind: 'document',
    file: '.dockerconfigjson',
    form: 'dockerconfigjson',
    text: JSON.stringify({ auths }),
  };
}

function next(known: readonly Source[], volumes: Record<string, SecretContent>): readonly Source[] {
  return nextSources(known, { ok: true, itself: 'secrets', volumes: new Map(Object.entries(volumes)) });
}

function brief(sources: readonly Source[]) {
  return sources.map(({ name, state, entries }) => [
    name,
    state,
    entries.map(({ registry }) => registry).join(),
  ]);
}

const good = next([], { a: document({ 'r.io': { auth: auth('1') }, 's.io': { auth: auth('1') } }) });

test('a source that is empty, unreadable or malformed keeps its last good entries', () => {
  assert.deepEqual(brief(good), [['a', 'current', 'r.io,s.io']]);
  const broken: readonly SecretContent[] = [
    { kind: 'empty' },
    { kind: 'unreadable', problem: 'no' },
    { kind: 'document', file: 'config.json', form: 'dockerconfigjson', text: '{' },
  ];
  for (const content of broken) {
    const kept = next(good, { a: content });
    assert.deepEqual(brief(kept), [['a', 'kept', 'r.io,s.io']]);
    assert.equal(kept[0]?.problems.length, 1);
    assert.deepEqual(brief(next(kept, { a: content })), brief(kept), 'and keeps them');
  }
  assert.deepEqual(brief(nextSources(good, { ok: false, problem: 'gone' })), [['a', 'kept', 'r.io,s.io']]);
});

test('a source that never was good has no entries: absent without a document, else invalid', () => {
  assert.deepEqual(brief(next([], { a: { kind: 'empty' } })), [['a', 'absent', '']]);
  assert.deepEqual(brief(next([], { a: { kind: 'unreadable', problem: 'no' } })), [['a', 'invalid', '']]);
});

test('what a good document no longer lists is revoked, and so is a source whose directory is gone', () => {
  assert.deepEqual(brief(next(good, { a: document({ 's.io': { auth: auth('2') } }) })), [
    ['a', 'current', 's.io'],
  ]);
  assert.deepEqual(brief(next(good, { a: document({}) })), [['a', 'current', '']]);
  assert.deepEqual(brief(next(good, {})), []);
});

test('a directory that was itself the Secret and is empty now keeps its entries', () => {
  const kept = nextSources(good, { ok: true, itself: 'a', volumes: new Map() });
  assert.deepEqual(brief(kept), [['a', 'kept', 'r.io,s.io']]);
});

test('an entry that is still listed but unusable keeps its last good credential', () => {
  const mixed = next(good, {
    a: document({ 'r.io': { auth: 'garbage!' }, 's.io': { auth: auth('2') }, 'new.io': {} }),
  });
  const [source] = mixed;
  assert.deepEqual(source?.entries.map(revealed).toSorted(), ['r.io u:1', 's.io u:2']);
  assert.equal(source?.problems.length, 2);
});

test('sources merge in the order of their names; the later one wins, and the conflict is reported once', () => {
  const sources = next([], {
    b: document({ 'r.io': { auth: auth('b') } }),
    a: document({ 'r.io': { auth: auth('a') }, 'same.io': { auth: auth('x') } }),
    c: document({ 'same.io': { auth: auth('x') } }),
  });
  const { entries, conflicts } = combineSources(sources, new Date());
  assert.deepEqual(
    entries.map(({ registry, source }) => [registry, source]),
    [
      ['r.io', 'b'],
      ['same.io', 'c'],
    ],
  );
  assert.deepEqual(conflicts, ['"r.io" is in the Secrets a and b; the latter is used']);
});

test('a registry that is left to a helper keeps what the helper answered before, and only then what the document says', () => {
  const answer = makeEntry({
    registry: 'r.io',
    source: 'a',
    auth: new SecretText(auth('answer')),
    isAnswer: true,
  });
  const listed = (document: object): SecretContent => ({
    kind: 'document',
    file: 'config.json',
    form: 'dockerconfigjson',
    text: JSON.stringify(document),
  });
  const [before] = next([], { a: listed({ credHelpers: { 'r.io': 'one' } }) });
  assert.ok(before);
  const answered = [{ ...before, entries: [answer] }];
  const names = (sources: readonly Source[]) => sources.flatMap(({ entries }) => entries.map(revealed));
  // Another helper, which has yet to answer; also with an older password beside it, and with one that is broken.
  for (const auths of [{}, { 'r.io': { auth: auth('stale') } }, { 'r.io': { auth: 'broken' } }])
    assert.deepEqual(names(next(answered, { a: listed({ auths, credHelpers: { 'r.io': 'two' } }) })), [
      'r.io u:answer',
    ]);
  assert.deepEqual(names(next(answered, { a: listed({ auths: { 'r.io': { auth: auth('own') } } }) })), [
    'r.io u:own',
  ]);
  assert.deepEqual(names(next(answered, { a: listed({ auths: {} }) })), [], 'and is revoked with it');
  const own = next([], {
    a: listed({ auths: { 'r.io': { auth: auth('1') } }, credHelpers: { 'r.io': 'one' } }),
  });
  assert.deepEqual(names(own), ['r.io u:1'], 'without an answer the document counts');
});

test('a password does not end with the identity token beside it', () => {
  const both = makeEntry({
    registry: 'r.io',
    source: 'a',
    auth: new SecretText(auth('1')),
    identityToken: webToken({ exp: 1_000 }),
  });
  const [source] = good;
  assert.ok(source);
  const { entries } = combineSources([{ ...source, entries: [both] }], new Date());
  assert.deepEqual(entries.map(revealed), ['r.io u:1']);
});
