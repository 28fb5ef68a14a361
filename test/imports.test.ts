import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const agent = fileURLToPath(new URL('../agent', import.meta.url));

/** The rooms from the edge of the process inwards; a room may import itself and those below it. */
const order = ['main', 'commands', 'agent', 'status', 'credentials', 'images', 'runtimes', 'config', 'base'];

/** What goes against the order, with its reason. */
const exceptions: readonly string[] = [
  // The image flow is handed credentials, as a keyring.
  'images -> credentials',
];
/** What the order would allow, and nobody needs. */
const forbidden: readonly string[] = [
  'credentials -> images',
  'credentials -> runtimes',
  'runtimes -> config',
  'base -> config',
];

type Import = { readonly from: string; readonly to: string };

async function readImports(): Promise<{
  files: readonly string[];
  local: readonly Import[];
  packages: readonly Import[];
}> {
  const entries = await readdir(agent, { recursive: true });
  const files = entries.filter(name => name.endsWith('.ts'));
  const local: Import[] = [];
  const packages: Import[] = [];
  for (const from of files) {
    const text = await readFile(join(agent, from), 'utf8');
    for (const [, to = ''] of text.matchAll(/^(?:import|export)\b[^;]*?\bfrom ['"]([^'"]+)['"];/gm)) {
      if (to.startsWith('.')) local.push({ from, to: relative('.', normalize(join(dirname(from), to))) });
      else packages.push({ from, to });
    }
  }
  return { files, local, packages };
}

function roomOf(file: string): string {
  const [first = ''] = file.split('/');
  if (/^(?:config|config-file)\.ts$/.test(first)) return 'config';
  return /^(?:settings|version)\.ts$/.test(first) ? 'base' : first.replace(/\.ts$/, '');
}

test('imports go one way', async () => {
  const { local } = await readImports();
  assert.ok(local.length > 50);
  for (const { from, to } of local) {
    const [upper, lower] = [roomOf(from), roomOf(to)];
    const edge = `${upper} -> ${lower}`;
    const downwards = order.indexOf(upper) <= order.indexOf(lower) && order.includes(lower);
    assert.ok((downwards && !forbidden.includes(edge)) || exceptions.includes(edge), `${from} imports ${to}`);
  }
});

test('no file imports itself in a circle', async () => {
  const { files, local } = await readImports();
  // Types alone make no circle at run time, but a reader goes round in it all the same.
  const next = new Map(files.map(file => [file, local.filter(({ from }) => from === file)]));
  const visit = (file: string, path: readonly string[]): void => {
    assert.ok(!path.includes(file), [...path, file].join(' -> '));
    for (const { to } of next.get(file) ?? []) visit(to, [...path, file]);
  };
  for (const file of files) visit(file, []);
});

test('the agent imports nothing but its own files and the packages it declares', async () => {
  const { dependencies } = JSON.parse(await readFile(join(agent, '../package.json'), 'utf8'));
  const { files, local, packages } = await readImports();
  for (const { from, to } of local) assert.ok(files.includes(to), `${from} imports ${to}`);
  for (const { from, to } of packages) {
    const name = to
      .split('/')
      .slice(0, to.startsWith('@') ? 2 : 1)
      .join('/');
    assert.ok(to.startsWith('node:') || Object.hasOwn(dependencies, name), `${from} imports ${to}`);
  }
});

test('only the edge of the process reads its arguments and environment, and ends it', async () => {
  const { files } = await readImports();
  for (const file of files.filter(name => name !== 'main.ts')) {
    const text = await readFile(join(agent, file), 'utf8');
    assert.doesNotMatch(text, /process\.(?:env|argv|exit|exitCode)\b/, file);
  }
});
