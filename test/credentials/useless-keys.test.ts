import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findUselessKeys } from '../../agent/credentials/useless-keys.ts';
import { readKeyring } from '../../agent/docker-config/keyring.ts';
import { basicEntry } from './entries.ts';

const useless: Readonly<Record<string, RegExp>> = {
  'registry-1.docker.io': /Docker Hub is written https:\/\/index.docker.io\/v1\//,
  'https://hub.docker.com': /Docker Hub/,
  'https://index.docker.io/v1': /with its last slash/,
  'index.docker.io/library': /with its last slash/,
  'Registry.example.com': /in lower case/,
  'registry.example.com/Team': /repositories are in lower case/,
  'docker://registry.example.com': /write the host alone/,
  'registry.example.com/team/app:v1': /without tag and digest/,
  'registry example com': /no registry address/,
  'registry-[ab].example.com': /know no \[a-z\] in a host; use \*/,
};

test('a key that can match no image is named, with what to write instead', () => {
  for (const [registry, text] of Object.entries(useless)) {
    const [warning] = findUselessKeys([basicEntry(registry)]);
    assert.match(warning?.text ?? '', /^the entry ".*" of the Secret team-a matches no image: /);
    assert.match(warning?.text ?? '', text);
  }
});

test('a key that can match is not named', () => {
  for (const registry of [
    'docker.io',
    'https://index.docker.io/v1/',
    'index.docker.io',
    'r.io:5000/team',
    '*.r.io',
    'http://r.io/v2/',
  ])
    assert.deepEqual(findUselessKeys([basicEntry(registry)]), [], registry);
});

test('the kubelet really finds no credential for an image of that name', () => {
  const auth = basicEntry('x').auth?.reveal();
  const repositories = [
    'docker.io/library/nginx',
    'index.docker.io/library/nginx',
    'registry.example.com/team/app',
  ];
  for (const registry of Object.keys(useless).filter(key => !key.startsWith('index.docker.io/')))
    for (const repository of repositories)
      assert.deepEqual(
        readKeyring(JSON.stringify({ auths: { [registry]: { auth } } })).lookup(repository),
        [],
      );
});
