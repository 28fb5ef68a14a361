import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { defaultConfig, type ImageSetting, parseConfig } from '../agent/config.ts';
import type { EntryStanding, Source } from '../agent/credentials/sources.ts';
import type { TargetOutcome } from '../agent/credentials/target-look.ts';
import type { ImageState } from '../agent/images/image-state.ts';
import { knownSockets } from '../agent/runtimes/known-sockets.ts';
import type { PullFailureKind } from '../agent/runtimes/pull-failure.ts';
import { environmentName, type SettingDescription, settingNames, settingTable } from '../agent/settings.ts';
import { Metrics } from '../agent/status/metrics.ts';
import { toStatus } from '../agent/status/status.ts';
import { agentPod, manifests, render } from './manifests/rendered.ts';
import { board, imageState } from './status/boards.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFile(join(project, path), 'utf8');

/** The default of every config key, as it could be written in the config. */
const defaults: Readonly<Record<string, string>> = {
  'credentials.targets': '[/var/lib/kubelet/config.json, /root/.docker/config.json]',
  'credentials.helperRefresh': '30m',
  images: '[]',
  'pulls.concurrency': '2',
  'pulls.perRegistry': '2',
  'pulls.timeout': '1h',
  'pulls.stallTimeout': '5m',
  'pulls.retry.initial': '1s',
  'pulls.retry.max': '5m',
  'pulls.resync': '10m',
  'pulls.startJitter': '0s',
  'pulls.maxIoPressure': '100%',
  'disk.keepFree': '20%',
};

/** The keys of an image with their defaults, as the README writes them. */
const imageDefaults: Readonly<Record<keyof ImageSetting, string>> = {
  image: '',
  pullPolicy: 'from the tag',
  priority: '`0`',
  required: '`true`',
  pin: '`false`',
};

describe('a setting exists in five places', { timeout: 60_000 }, () => {
  it('every flag is in the README with its variable, default and meaning, and no other', async () => {
    const expected = settingNames.map(name => {
      const { placeholder, fallback, meaning }: SettingDescription = settingTable[name];
      const flag = `--${name}${placeholder ? ` ${placeholder}` : ''}`;
      return [`\`${flag}\``, `\`${environmentName(name)}\``, `\`${fallback}\``, meaning];
    });
    assert.deepEqual(tableBelow('| flag | variable', await read('README.md')), expected);
  });

  it('every key of the config is in the README with its default, and no other', async () => {
    const rows = tableBelow('| key | default', await read('README.md')).map(([key = '', text = '']) => [
      key.replaceAll('`', ''),
      text,
    ]);
    const written = Object.entries(defaults).map(([key, text]) => [key, asInReadme(text)]);
    const ofImages = Object.entries(imageDefaults).map(([key, text]) => [`images[].${key}`, text]);
    assert.deepEqual(rows.toSorted(), [...written, ...ofImages].toSorted());
  });

  it('those are all the keys that the agent knows, and their defaults', () => {
    for (const [key, text] of Object.entries(defaults)) {
      const config = key.split('.').reduceRight((inner, name) => `{ ${name}: ${inner} }`, text);
      assert.deepEqual(parseConfig(config), { ok: true, config: defaultConfig }, config);
    }
    const known = leaves(defaultConfig).map(key => key.replace(/(?<=keepFree)\.share$/, ''));
    assert.deepEqual(known.toSorted(), Object.keys(defaults).toSorted());
    const refused = parseConfig('images: [{ image: a, pullPolicy: x, priority: x, required: x, pin: x }]');
    assert.equal(refused.ok ? 0 : refused.problems.length, Object.keys(imageDefaults).length - 1);
  });

  it('every flag and key is in the CHANGELOG, and every key in the config of the manifests', async () => {
    const changes = await read('CHANGELOG.md');
    const shown = await read('manifests/base/config.yaml');
    const keys = [...Object.keys(defaults), ...Object.keys(imageDefaults)];
    for (const name of [...settingNames.map(flag => `--${flag}`), ...keys])
      assert.ok(changes.includes(`\`${name}\``), name);
    for (const key of keys) assert.match(shown, new RegExp(`\\b${key.split('.').at(-1)}:`), key);
  });
});

describe('what the agent tells', { timeout: 30_000 }, () => {
  it('every metric is in the README with its labels, and no other', async () => {
    const entries = [{ registry: 'r', source: 's', expiresAt: new Date(0), state: 'written' as const }];
    const known = board({ credentials: { entries }, images: { images: [imageState('a')] } });
    const metrics = new Metrics(() => toStatus(known));
    metrics.countWrite('/x');
    metrics.countPull({ ...imageState('a'), durationMs: 1 });
    const found = samples(await metrics.text());

    const documented = tableBelow('| metric |', await read('README.md')).map(([name = '', labels = '']) => [
      name.replaceAll('`', ''),
      labels.replaceAll('`', '').split(', ').filter(Boolean).toSorted(),
    ]);
    assert.deepEqual(new Map(documented as [string, string[]][]), found);
  });

  it('the example of the status has the fields of the status, and no other', async () => {
    const [, example = ''] =
      /```json\n([\s\S]*?)```/.exec(await read('docs/what-does-the-status-say.md')) ?? [];
    const entries = [{ registry: 'r', source: 's', expiresAt: null, state: 'written' as const }];
    const status = toStatus(board({ credentials: { entries }, images: { images: [imageState('a')] } }));

    assert.deepEqual(leaves(JSON.parse(example)), leaves(JSON.parse(JSON.stringify(status))));
  });

  it('every state and every kind of failure is explained, and no other', async () => {
    const status = await read('docs/what-does-the-status-say.md');
    const [sources, entries, targets, images] = tables('| `state` |', status);
    assert.deepEqual(sources, Object.keys(sourceStates));
    assert.deepEqual(entries, Object.keys(entryStates));
    assert.deepEqual(targets, Object.keys(targetStates));
    assert.deepEqual(images, Object.keys(imageStates));
    const [kinds] = tables('| `reason` |', await read('docs/how-are-images-pulled.md'));
    assert.deepEqual(kinds?.toSorted(), Object.keys(failureKinds).toSorted());
  });

  it('has every place where a runtime is looked for, in the same order', async () => {
    const [places] = tables('| place |', await read('docs/how-is-the-runtime-found.md'));
    assert.deepEqual(places, knownSockets.flat());
  });
});

describe('what the pod may do', { timeout: 60_000 }, () => {
  it('names every directory of the node that is mounted, where and how, and no other', async () => {
    const { container, pod } = agentPod(await render(manifests));
    const mounts = (container.volumeMounts ?? []).flatMap(({ name, mountPath, readOnly }) => {
      const path = pod.volumes?.find(volume => volume.name === name)?.hostPath?.path;
      return path === undefined ? [] : [[`\`${path}\``, `\`${mountPath}\``, readOnly ? 'read' : 'write']];
    });
    const page = await read('docs/what-may-the-pod-do.md');
    assert.deepEqual(
      tableBelow('| directory of the node |', page).map(cells => cells.slice(0, 3)),
      mounts,
    );
    for (const { mountPath } of container.volumeMounts ?? [])
      assert.ok(page.includes(`\`${mountPath}\``), mountPath);
  });

  it('names every setting that limits it', async () => {
    const { container, pod } = agentPod(await render(manifests));
    const page = await read('docs/what-may-the-pod-do.md');
    const settings = { ...pod.securityContext, ...container.securityContext };
    assert.ok(Object.keys(settings).length > 5);
    for (const [name, value] of Object.entries(settings)) {
      const text = typeof value === 'object' ? '' : ` ${value}`;
      assert.ok(page.includes(`\`${name}:${text}`), name);
    }
  });
});

// Complete by their types: a member that is missing here or there is an error of the type check.
const sourceStates = { current: 1, kept: 1, absent: 1, invalid: 1 } satisfies Record<Source['state'], 1>;
const targetStates = { current: 1, failed: 1, refused: 1, contested: 1 } satisfies Record<
  TargetOutcome['state'],
  1
>;
const entryStates = { written: 1, expired: 1, invalid: 1, displaced: 1 } satisfies Record<
  EntryStanding['state'],
  1
>;
const imageStates = { present: 1, pulling: 1, waiting: 1, failed: 1, skipped: 1 } satisfies Record<
  ImageState['state'],
  1
>;
const failureKinds = {
  auth: 1,
  'not-found': 1,
  platform: 1,
  'bad-reference': 1,
  'rate-limited': 1,
  unreachable: 1,
  disk: 1,
  timeout: 1,
  stalled: 1,
  runtime: 1,
  unknown: 1,
} satisfies Record<PullFailureKind, 1>;

/** The cells of the rows of the first table whose head begins so. */
function tableBelow(head: string, text: string): readonly (readonly string[])[] {
  const lines = text.split('\n');
  const first = lines.findIndex(line => line.startsWith(head)) + 2;
  assert.ok(first > 1, `there is a table ${head}`);
  const end = lines.findIndex((line, index) => index >= first && !line.startsWith('|'));
  return lines.slice(first, end).map(line =>
    line
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim()),
  );
}

/** The first column, without quotes, of every table whose head begins so. */
function tables(head: string, text: string): readonly (readonly string[])[] {
  const parts = text.split(`\n${head}`).slice(1);
  return parts.map(part =>
    tableBelow(head, `${head}${part}\n`).map(([cell = '']) => cell.replaceAll('`', '')),
  );
}

/** How the README writes a default. */
function asInReadme(text: string): string {
  if (text === '[]') return 'none';
  return text
    .replace(/^\[|\]$/g, '')
    .split(', ')
    .map(part => `\`${part}\``)
    .join(', ');
}

/** The paths of everything in a value that is not an object itself; of a list, the first item stands for all. */
function leaves(value: unknown, path = ''): readonly string[] {
  if (Array.isArray(value) && typeof value[0] === 'object') return leaves(value[0], `${path}[]`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path ? `${path}.${key}` : key));
}

/** Every metric of the text format, with its labels; a histogram is one. */
function samples(text: string): ReadonlyMap<string, readonly string[]> {
  const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name);
  return new Map(
    names.map(name => {
      const lines = text.matchAll(new RegExp(`^${name}(?:_bucket|_sum|_count)?(?:{(.*)})? `, 'gm'));
      const labels = [...lines].flatMap(([, inside = '']) =>
        [...inside.matchAll(/(\w+)="/g)].map(([, label = '']) => label),
      );
      return [name, [...new Set(labels)].filter(label => label !== 'le').toSorted()];
    }),
  );
}
