import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const agent = fileURLToPath(new URL('../agent', import.meta.url));

/** What each room imports of the others, from the edge of the process inwards: only rooms that stand below it. */
const imports: Readonly<Record<string, readonly string[]>> = {
  main: ['commands', 'settings', 'version', 'base'],
  commands: ['agent', 'status', 'control', 'config', 'settings', 'base'],
  // The agent, and the work that it does when it is its turn.
  agent: ['status', 'control', 'images', 'credentials', 'config', 'settings', 'version', 'base'],
  status: ['images', 'credentials', 'docker-config', 'config', 'base'],
  // Who works on the node, and how the others reach that one.
  control: ['base'],
  // Of what a docker config says the keyring, with which it pulls.
  images: ['docker-config', 'runtimes', 'config', 'image-reference', 'base'],
  // Neither knows the other, nor the config.
  credentials: ['docker-config', 'base'],
  // What a docker config says, and to whom: it touches nothing.
  'docker-config': ['base'],
  // Docker shortens the names of images, and they are made whole again.
  runtimes: ['image-reference', 'gen', 'base'],
  gen: [],
  config: ['base'],
  'image-reference': [],
  settings: [],
  version: [],
  base: [],
};

type Import = { readonly from: string; readonly to: string };

/** `from 'x'`, the bare `import 'x'`, and what is loaded when it is reached: `import('x')`, `require('x')`. */
const importPattern =
  /\bfrom\s+['"]([^'"]+)['"]|\bimport\s+['"]([^'"]+)['"]|\b(?:import|require)\(([^)]*)\)/g;

describe('the imports of the agent', { timeout: 30_000 }, () => {
  let files: readonly string[];
  let texts: ReadonlyMap<string, string>;
  let local: readonly Import[];
  let packages: readonly Import[];

  before(async () => {
    files = (await readdir(agent, { recursive: true })).filter(name => name.endsWith('.ts'));
    texts = new Map(
      await Promise.all(
        files.map(async file => [file, withoutComments(await readFile(join(agent, file), 'utf8'))] as const),
      ),
    );
    const all = [...texts].flatMap(([from, text]) => importsOf(text).map(to => ({ from, to })));
    packages = all.filter(({ to }) => !to.startsWith('.'));
    local = all
      .filter(({ to }) => to.startsWith('.'))
      .map(({ from, to }) => ({ from, to: normalize(join(dirname(from), to)) }));
  });

  it('go from room to room as in the table, and everything in the table is needed', () => {
    const found: Record<string, Set<string>> = {};
    for (const file of files) found[roomOf(file)] ??= new Set();
    for (const { from, to } of local) {
      const [upper, lower] = [roomOf(from), roomOf(to)];
      if (upper === lower) continue;
      assert.ok(imports[upper]?.includes(lower), `${from} imports ${to}: ${upper} may not know ${lower}`);
      found[upper]?.add(lower);
    }
    const sorted = (table: Record<string, Iterable<string>>) =>
      Object.fromEntries(Object.entries(table).map(([room, others]) => [room, [...others].sort()]));
    assert.deepEqual(sorted(found), sorted(imports));
  });

  it('go one way in the table itself', () => {
    const rooms = Object.keys(imports);
    for (const [room, others] of Object.entries(imports))
      for (const other of others) assert.ok(rooms.indexOf(other) > rooms.indexOf(room), `${room}: ${other}`);
  });

  it('lead no file back to itself', () => {
    // Types alone make no circle at run time, but a reader goes round in it all the same.
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      assert.ok(!path.includes(file), [...path, file].join(' -> '));
      if (done.has(file)) return;
      for (const { from, to } of local) if (from === file) visit(to, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
  });

  it('are files of the agent, parts of Node.js and the packages that it declares', async () => {
    const { dependencies } = JSON.parse(await readFile(join(agent, '../package.json'), 'utf8'));
    for (const { from, to } of local) assert.ok(files.includes(to), `${from} imports ${to}`);
    for (const { from, to } of packages) {
      const [, name = ''] = /^((?:@[^/]+\/)?[^/]+)/.exec(to) ?? [];
      assert.ok(to.startsWith('node:') || Object.hasOwn(dependencies, name), `${from} imports ${to}`);
    }
  });

  it('start no other program and open no connection beyond a socket of the node', () => {
    const allowed: Readonly<Record<string, readonly string[]>> = {
      'node:http': ['status/status-server.ts', 'control/control-client.ts'],
      'node:http2': ['runtimes/cri/grpc-connection.ts'],
      'node:net': [
        'runtimes/cri/grpc-connection.ts',
        'runtimes/docker/lifeline.ts',
        'status/status-server.ts',
        'control/node-lock.ts',
      ],
      undici: ['runtimes/docker/docker-client.ts'],
    };
    const outside = /^(?:node:(?:child_process|cluster|dgram|dns|https?|http2|net|tls)|undici)\b/;
    for (const { from, to } of packages)
      assert.ok(!outside.test(to) || allowed[to]?.includes(from), `${from} imports ${to}`);
    for (const [file, text] of texts)
      assert.doesNotMatch(text, /\bfetch\(|\bWebSocket\b|\bEventSource\b/, file);
  });

  it('leave the arguments, the environment and the end of the process to main.ts', () => {
    for (const [file, text] of texts) {
      if (file === 'main.ts') continue;
      assert.doesNotMatch(text, /\bprocess\s*(?:\??\.\s*|\[\s*['"])(?:env|argv|exit|exitCode)\b/, file);
      assert.doesNotMatch(text, /['"]node:process['"]|\}\s*=\s*process\b/, file);
    }
  });
});

function importsOf(text: string): readonly string[] {
  return [...text.matchAll(importPattern)].map(([, from, bare, reached]) => {
    return from ?? bare ?? (reached ?? '').replace(/^\s*['"]|['"]\s*$/g, '');
  });
}

/** Without whole lines of comment: a sentence may say where a thing comes from 'somewhere'. */
function withoutComments(text: string): string {
  return text.replace(/^\s*(?:\/\/|\/?\*).*$/gm, '');
}

function roomOf(file: string): string {
  if (file.startsWith('runtimes/gen/')) return 'gen';
  const [first = ''] = file.split('/');
  return first
    .replace(/\.ts$/, '')
    .replace(/^config-file$/, 'config')
    .replace(/^(?:node-work|clean-node)$/, 'agent');
}
