import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findDockerShadows } from '../../agent/credentials/docker-shadows.ts';
import { basicEntry } from './entries.ts';

const path = '/root/.docker/config.json';

function warnings(
  registries: readonly string[],
  others: object = {},
  moreAuths: object = {},
): readonly string[] {
  const auth = basicEntry('x').auth?.reveal();
  const auths = { ...Object.fromEntries(registries.map(registry => [registry, { auth }])), ...moreAuths };
  return findDockerShadows({ path, text: JSON.stringify({ auths, ...others }), registries }).map(
    ({ text }) => text,
  );
}

test('entries that docker uses are no matter', () => {
  assert.deepEqual(warnings(['r.io', 'r.io:5000', 'https://index.docker.io/v1/', 'https://s.io/v1/']), []);
});

test('a helper that docker asks instead is named, with the setting to take out', () => {
  assert.deepEqual(warnings(['a.io', 'b.io'], { credHelpers: { 'a.io': 'ecr-login' } }), [
    `docker asks docker-credential-ecr-login (credHelpers) and not the entries for "a.io" in ${path}; take that setting out of the file if they should count`,
  ]);
  const many = ['a.io', 'b.io', 'c.io', 'd.io', 'e.io', 'f.io', 'g.io'];
  assert.match(
    warnings(many, { credsStore: 'desktop' }).join(),
    /docker-credential-desktop \(credsStore\) and not the entries for "a.io", .* "e.io" and 2 more in/,
  );
});

test('patterns and paths, which docker knows nothing of, are named', () => {
  const [globs, paths] = warnings(['*.r.io', 'r.io/team']);
  assert.match(globs ?? '', /docker knows no patterns, so it uses none of "\*.r.io"/);
  assert.match(
    paths ?? '',
    /no notice of the path of "r.io\/team" .* and uses the credential for the whole host/,
  );
  assert.deepEqual(warnings(['r.io', 'r.io/team']), [], 'the exact host goes before');
});

test('Docker Hub under a name that docker does not look for is named', () => {
  assert.match(
    warnings(['docker.io']).join(),
    /docker does not find "docker.io" in .*; write Docker Hub as https:\/\/index/,
  );
});

test('what could be a password in the name of a registry is not shown', () => {
  const [warning = ''] = warnings(['https://bob:hunter2@r.io/team']);
  assert.match(warning, /"https:\/\/r.io\/team"/);
  assert.doesNotMatch(warning, /hunter2/);
});
