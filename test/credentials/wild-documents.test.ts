import assert from 'node:assert/strict';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Entry } from '../../agent/credentials/entry.ts';
import { mergeDockerConfig } from '../../agent/credentials/merge.ts';
import { Ownership } from '../../agent/credentials/ownership.ts';
import { planEntries } from '../../agent/credentials/planned-entry.ts';
import { readSecretVolumes } from '../../agent/credentials/secret-volume.ts';
import { readDocument } from '../../agent/credentials/source-document.ts';
import { combineSources, nextSources, type Source } from '../../agent/credentials/sources.ts';
import { reconcileTarget } from '../../agent/credentials/target.ts';
import { formOf, readerOf } from '../../agent/credentials/target-kind.ts';
import { readAsDocker } from '../../agent/docker-config/docker-cli-reading.ts';
import {
  type DockerConfigForm,
  parseDockerConfigText,
} from '../../agent/docker-config/docker-config-text.ts';
import { isVoidingForKubelet, readAsKubelet } from '../../agent/docker-config/kubelet-reading.ts';
import { dockerConfigJson } from '../sandbox/docker-config.ts';
import { updateKubeletVolume } from '../sandbox/kubelet-volume.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { basicEntry, revealed } from './entries.ts';
import { type WildDocument, wildDocuments } from './wild-document.ts';

const limits = { timeout: 120_000 };
const targets = ['/var/lib/kubelet/config.json', '/root/.docker/config.json', '/root/.dockercfg'];
const seed = 20_260_101;

/** A value tells itself from others as well as its digest does. */
const digest = (value: string) => value;
const nothing = { created: false, entries: new Map(), aside: new Map() };

test(
  'of 10,000 wild documents none throws or reaches a file, and the good entries in them do',
  limits,
  () => {
    const seen = { documents: 0, refused: 0, entries: 0, leftOut: 0 };
    const check = fc.property(wildDocuments, document => {
      const reading = readDocument(document.bytes.toString(), document.form, 'team-a');
      seen.documents++;
      if (!reading.ok) {
        seen.refused++;
        assert.deepEqual(document.good, {}, 'unharmed entries were refused');
        return;
      }
      seen.entries += reading.entries.length;
      seen.leftOut += reading.leftOut.length;
      assertGoodGoOn(document, reading.entries);
      for (const path of targets) assertWritten(document, path, reading);
    });
    fc.assert(check, { numRuns: 10_000, seed });
    assert.equal(seen.documents, 10_000);
    for (const [what, count] of Object.entries(seen))
      assert.ok(count > 2_000, `${count} ${what}: not wild enough`);
  },
);

/** The unharmed logins are among the entries, to the letter. */
function assertGoodGoOn({ good }: WildDocument, entries: readonly Entry[]): void {
  const read = new Set(entries.map(revealed));
  for (const [registry, login] of Object.entries(good)) assert.ok(read.has(`${registry} ${login}`), registry);
}

/** What would be written to the target at `path` is what its readers take, and no bigger than it has to be. */
function assertWritten(
  { bytes }: WildDocument,
  path: string,
  { entries, leftOut }: { readonly entries: readonly Entry[]; readonly leftOut: readonly string[] },
): void {
  const [form, planned] = [formOf(path), planEntries(entries, path)];
  const { text } = mergeDockerConfig({
    isVoiding: isVoidingForKubelet,
    existing: undefined,
    form,
    entries: planned,
    owned: nothing,
    digest,
  });
  if (text === undefined) {
    assert.equal(planned.length, 0);
    return;
  }
  assertReadable(text, path);
  assert.deepEqual(registriesIn(text, form), planned.map(({ registry }) => registry).toSorted());
  for (const registry of leftOut) assert.ok(!planned.some(entry => entry.registry === registry), registry);
  assert.ok(text.length <= 3 * bytes.length + 200, `${text.length} letters from ${bytes.length} bytes`);
}

function assertReadable(text: string, path: string): void {
  const reading = readerOf(path) === 'docker' ? readAsDocker(text) : readAsKubelet(text, formOf(path));
  assert.equal(reading.valid, true, `${path}: ${'problem' in reading ? reading.problem : ''}`);
}

function registriesIn(text: string, form: DockerConfigForm): readonly string[] {
  return [...(parseDockerConfigText(text, form)?.entries.keys() ?? [])].toSorted();
}

test('wild documents that others have in a target are merged with, and put back', limits, () => {
  const ours = ['a.io', 'r.io:99999', '__proto__', ''].map(registry => basicEntry(registry));
  const check = fc.property(wildDocuments, fc.constantFrom(...targets), ({ bytes }, path) => {
    const form = formOf(path);
    const text = bytes.toString();
    const existing = { text, config: parseDockerConfigText(text, form) };
    const entries = planEntries(ours, path);
    const merged = mergeDockerConfig({
      isVoiding: isVoidingForKubelet,
      existing,
      form,
      entries,
      owned: nothing,
      digest,
    });
    const written = merged.text ?? '';
    const reading = readAsKubelet(written, form);
    // Of what is no entry, only the HTTP headers could void it, and these documents have none.
    assert.equal(reading.valid, true, 'problem' in reading ? reading.problem : '');
    for (const { registry, value } of entries)
      assert.equal(parseDockerConfigText(written, form)?.entries.get(registry), value);
    const config = parseDockerConfigText(written, form);
    const back = mergeDockerConfig({
      isVoiding: isVoidingForKubelet,
      existing: { text: written, config },
      form,
      entries: [],
      owned: merged,
      digest,
    });
    const found = back.text === undefined ? undefined : parseDockerConfigText(back.text, form);
    const theirs = [...(existing.config?.entries ?? [])].toSorted();
    assert.deepEqual([...(found?.entries ?? [])].toSorted(), theirs);
  });
  fc.assert(check, { numRuns: 3_000, seed });
});

test(
  'wild Secrets on their way from the volume to the files change nothing but what they say',
  limits,
  async t => {
    const node = await nodeWithSecret(t);
    const documents = fc.sample(wildDocuments, { numRuns: 250, seed: seed + 1 });
    let known: readonly Source[] = [];
    const states = new Set<string>();
    for (const [number, document] of documents.entries()) {
      await node.write(document);
      known = nextSources(known, await readSecretVolumes(node.secrets));
      const wild = known.find(({ name }) => name === 'wild');
      states.add(wild?.state ?? 'gone');
      assertGoodGoOn(document, wild?.entries ?? []);
      const { entries } = combineSources(known, new Date());
      assert.ok(entries.some(({ registry, source }) => registry === 'steady.example' && source === 'steady'));
      for (const path of targets) {
        const { state, problem } = await node.reconcile(path, entries);
        assert.deepEqual([state, problem], ['current', null], `document ${number} of ${path}`);
        const text = await readFile(join(node.hostRoot, path), 'utf8');
        assertReadable(text, path);
        const planned = planEntries(entries, path).map(({ registry }) => registry);
        assert.deepEqual(registriesIn(text, formOf(path)), planned.toSorted());
      }
    }
    for (const state of ['current', 'kept']) assert.ok(states.has(state), `no Secret was ${state}`);
  },
);

/** A node with a Secret of its own that stays as it is, beside the one that is written. */
async function nodeWithSecret(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const [hostRoot, secrets] = [join(directory, 'host'), join(directory, 'secrets')];
  const stateDirectory = join(directory, 'state');
  await mkdir(hostRoot);
  const steady = { registry: 'steady.example', user: 'u', password: 'p' };
  await updateKubeletVolume(join(secrets, 'steady'), { '.dockerconfigjson': dockerConfigJson(steady) });
  const ownership = await Ownership.load(stateDirectory);
  return {
    hostRoot,
    secrets,
    stateDirectory,
    reconcile: (path: string, entries: readonly Entry[]) =>
      reconcileTarget({ path, hostRoot, stateDirectory, ownership }, entries),
    async write({ form, bytes }: Pick<WildDocument, 'form' | 'bytes'>) {
      const file = form === 'dockercfg' ? '.dockercfg' : '.dockerconfigjson';
      await updateKubeletVolume(join(secrets, 'wild'), { [file]: bytes.toString() });
      // The bytes themselves, which need not be text.
      await writeFile(join(secrets, 'wild', '..data', file), bytes);
    },
  };
}

test('no document costs much more than a good one of its size', limits, () => {
  const size = 2 ** 20;
  const filled = (one: string) => one.repeat(Math.floor(size / one.length));
  const list = (make: (number: number) => string, length: number) =>
    `{"auths":{${Array.from({ length: Math.floor(size / length) }, (_, number) => make(number)).join()}}}`;
  const good = list(number => `"r${number}.io":{"auth":"dTpwYXNzd29yZA=="}`, 38);
  const wild = {
    'one name over and over': list(() => '"r.io":{"auth":"dTpw"}', 23),
    'one field over and over': `{"auths":{"r.io":{${list(() => '"auth":"dTpw"', 14).slice(10, -2)}}}}`,
    'many lists': filled('{"auths":{"r.io":{}},'),
    'many "auths"': `{${list(number => `"auths":{"r${number}.io":{}}`, 24).slice(10, -2)}}`,
    'one long name': `{"auths":{"${filled('a@')}":{"auth":"dTpw"}}}`,
    'one long host': `{"auths":{"${filled('a.')}":{"auth":"dTpw"}}}`,
    'one long password': `{"auths":{"r.io":{"auth":"${Buffer.from(`u:${'ey'.repeat(size / 3)}`).toString('base64')}"}}}`,
    'one long token': `{"auths":{"r.io":{"identitytoken":"${filled('ey.')}"}}}`,
    'one long base64 in lines': `{"auths":{"r.io":{"auth":"${filled('dTpw\\n')}"}}}`,
    'nothing but padding': `{"auths":{"r.io":{"auth":"${filled('=')}"}}}`,
    escapes: `{"auths":{"r.io":{"auth":"${filled('\\u0064')}"}}}`,
    'opened and never closed': filled('{"auths":'),
    'nested and closed': `{"auths":{"r.io":${'['.repeat(size / 2)}${']'.repeat(size / 2)}}}`,
    'a wall of brackets': filled('['),
    'entries of every wrong type': list(number => `"r${number}.io":[{"auth":3}]`, 24),
  };
  // The first run of each is for the compiler.
  costOf(good);
  const fair = costOf(good);
  for (const [name, text] of Object.entries(wild)) {
    const cost = Math.min(costOf(text), costOf(text));
    assert.ok(cost < 5 * fair, `${name}: ${cost} µs, and ${fair} µs for a good one`);
  }
});

/** What it costs to read a document and to plan every target, in microseconds of this process. */
function costOf(text: string): number {
  const before = process.cpuUsage();
  for (const form of ['dockerconfigjson', 'dockercfg'] as const) {
    const reading = readDocument(text, form, 'team-a');
    for (const path of targets) {
      const entries = planEntries(reading.ok ? reading.entries : [], path);
      mergeDockerConfig({
        isVoiding: isVoidingForKubelet,
        existing: undefined,
        form: formOf(path),
        entries,
        owned: nothing,
        digest,
      });
    }
  }
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

test(
  'a Secret of 1 MiB with 5,000 entries is written whole, and unchanged costs no write',
  limits,
  async t => {
    const node = await nodeWithSecret(t);
    const logins = Array.from({ length: 5_000 }, (_, number) => ({
      registry: `registry-${number}.example.com/team`,
      user: 'robot',
      password: `${number}-${'x'.repeat(45)}`,
    }));
    const text = dockerConfigJson(...logins);
    await node.write({ form: 'dockerconfigjson', bytes: Buffer.from(text.padEnd(2 ** 20)) });
    assert.ok(text.length < 2 ** 20 && text.length > 0.9 * 2 ** 20, `${text.length}`);
    const sources = nextSources([], await readSecretVolumes(node.secrets));
    const { entries } = combineSources(sources, new Date());
    for (const path of targets) {
      const { state, managed } = await node.reconcile(path, entries);
      assert.deepEqual([state, managed], ['current', 5_001]);
      const written = await readFile(join(node.hostRoot, path), 'utf8');
      const values = parseDockerConfigText(written, formOf(path))?.entries;
      for (const { registry, user, password } of logins) {
        const { auth } = JSON.parse(values?.get(registry) ?? '{}');
        assert.equal(Buffer.from(auth, 'base64').toString(), `${user}:${password}`);
      }
      assertReadable(written, path);
    }
    const identities = () =>
      Promise.all(
        [...targets.map(path => join(node.hostRoot, path)), join(node.stateDirectory, 'ownership.json')].map(
          async path => {
            const { ino, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
            return [ino, mtimeNs, ctimeNs];
          },
        ),
      );
    const before = await identities();
    const again = combineSources(nextSources(sources, await readSecretVolumes(node.secrets)), new Date());
    for (const path of targets) assert.equal((await node.reconcile(path, again.entries)).written, false);
    assert.deepEqual(await identities(), before);
  },
);
