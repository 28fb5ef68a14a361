import assert from 'node:assert/strict';
import { access, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Config, defaultConfig, parseConfig } from '../agent/config.ts';
import { environmentName, type SettingDescription, settingNames, settingTable } from '../agent/settings.ts';
import { version } from '../agent/version.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFile(join(project, path), 'utf8');

async function documents(): Promise<readonly string[]> {
  const inDocs = (await readdir(join(project, 'docs'))).map(name => join('docs', name));
  return [...(await readdir(project)).filter(name => name.endsWith('.md')), ...inDocs];
}

/** Every key of the config with its default, as the README writes them. */
function configKeys({ credentials, pulls, disk }: Config): ReadonlyMap<string, string> {
  const durations = {
    helperRefresh: '30m',
    timeout: '1h',
    stallTimeout: '5m',
    resync: '10m',
    startJitter: '0s',
    initial: '1s',
    max: '5m',
  };
  for (const [key, text] of Object.entries(durations)) {
    const config = parseConfig(
      key === 'helperRefresh'
        ? `credentials: { helperRefresh: ${text} }`
        : `pulls: ${key === 'initial' || key === 'max' ? `{ retry: { ${key}: ${text} } }` : `{ ${key}: ${text} }`}`,
    );
    assert.deepEqual(config, { ok: true, config: defaultConfig }, `${text} is the default of ${key}`);
  }
  assert.deepEqual(
    Object.keys({ ...credentials, ...pulls, ...pulls.retry, ...disk }).toSorted(),
    [...Object.keys(durations), 'concurrency', 'keepFree', 'perRegistry', 'retry', 'targets'].toSorted(),
  );
  return new Map([
    ['credentials.targets', credentials.targets.map(path => `\`${path}\``).join(', ')],
    ['credentials.helperRefresh', '`30m`'],
    ['images', 'none'],
    ['images[].image', ''],
    ['images[].pullPolicy', 'from the tag'],
    ['images[].priority', '`0`'],
    ['images[].required', '`true`'],
    ['images[].pin', '`false`'],
    ['pulls.concurrency', `\`${pulls.concurrency}\``],
    ['pulls.perRegistry', `\`${pulls.perRegistry}\``],
    ['pulls.timeout', '`1h`'],
    ['pulls.stallTimeout', '`5m`'],
    ['pulls.retry.initial', '`1s`'],
    ['pulls.retry.max', '`5m`'],
    ['pulls.resync', '`10m`'],
    ['pulls.startJitter', '`0s`'],
    ['disk.keepFree', '`20%`'],
  ]);
}

test('the README lists every flag with its variable and default, and no other', async () => {
  const rows = (await read('README.md')).split('\n').filter(line => line.startsWith('| `--'));
  const expected = settingNames.map(name => {
    const { placeholder, fallback, meaning }: SettingDescription = settingTable[name];
    const flag = `--${name}${placeholder ? ` ${placeholder}` : ''}`;
    return `| \`${flag}\` | \`${environmentName(name)}\` | \`${fallback}\` | ${meaning} |`;
  });
  assert.deepEqual(rows, expected);
});

test('the README lists every key of the config with its default, and no other', async () => {
  const rows = (await read('README.md')).matchAll(
    /^\| `((?:credentials|images|pulls|disk)[^`]*)` \| (.*?) ?\| /gm,
  );
  assert.deepEqual(new Map([...rows].map(([, key, value]) => [key, value])), configKeys(defaultConfig));
});

test('the CHANGELOG and the manifests name every flag and key', async () => {
  const changes = await read('CHANGELOG.md');
  for (const name of settingNames) assert.ok(changes.includes(`\`--${name}\``), name);
  const example = await read('manifests/base/config.yaml');
  for (const key of configKeys(defaultConfig).keys()) {
    const last = key.split('.').at(-1)?.replace('images[]', 'images') ?? '';
    assert.ok(changes.includes(`\`${key.replace('images[].', '')}\``), key);
    assert.match(example, new RegExp(`\\b${last}:`), key);
  }
});

test('every example of a config is one that the agent takes', async () => {
  let examples = 0;
  for (const path of await documents()) {
    for (const [, text = ''] of (await read(path)).matchAll(/```yaml\n([\s\S]*?)```/g)) {
      if (text.includes('kind: Kustomization')) continue;
      examples++;
      assert.ok(parseConfig(text).ok, `${path}: ${text}`);
    }
  }
  assert.ok(examples > 0);
});

test('every npm script that is named exists, and every link leads somewhere', async () => {
  const { scripts } = JSON.parse(await read('package.json'));
  for (const path of await documents()) {
    const text = await read(path);
    for (const [, name = ''] of text.matchAll(/npm run ([a-z]+)/g))
      assert.ok(scripts[name], `${path}: ${name}`);
    for (const [, link = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
      await access(join(project, dirname(path), link));
    }
  }
});

test('ARCHITECTURE names every room, and no file that is not there', async () => {
  const text = await read('ARCHITECTURE.md');
  for (const entry of await readdir(join(project, 'agent'), { withFileTypes: true })) {
    assert.ok(text.includes(`\`agent/${entry.name}${entry.isDirectory() ? '/' : ''}\``), entry.name);
  }
  for (const row of text.matchAll(/^\| (`.*?`) \| (.*) \|$/gm)) {
    const [room = ''] = /agent\/[a-z]+\/(?=`)/.exec(row[1] ?? '') ?? [];
    for (const [, file = ''] of (row[2] ?? '').matchAll(/`([a-z-]+\.ts)`/g))
      await access(join(project, room, file));
  }
});

test('the version is the same everywhere', async () => {
  assert.equal(JSON.parse(await read('package.json')).version, version);
  assert.match(await read('CHANGELOG.md'), new RegExp(`^## ${version}`, 'm'));
  assert.match(await read('manifests/base/kustomization.yaml'), new RegExp(version));
});
