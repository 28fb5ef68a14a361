import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ImageReference, parseImageReference } from '../agent/image-reference.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

function parsed(text: string): ImageReference {
  const reference = parseImageReference(text);
  assert.ok(typeof reference !== 'string', `${text}: ${reference}`);
  return reference;
}

test('names are completed as docker and containerd do', () => {
  const names: readonly (readonly [string, string])[] = [
    ['nginx', 'docker.io/library/nginx:latest'],
    ['nginx:1.27', 'docker.io/library/nginx:1.27'],
    ['team/app', 'docker.io/team/app:latest'],
    ['docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['index.docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['registry:5000/app', 'registry:5000/app:latest'],
    ['localhost/app:1', 'localhost/app:1'],
    ['REG/app', 'REG/app:latest'],
    ['reg.example.com/a/b_c/d__e/f-g:T.1-x', 'reg.example.com/a/b_c/d__e/f-g:T.1-x'],
    ['[::1]:5000/app', '[::1]:5000/app:latest'],
    [`nginx@${digest}`, `docker.io/library/nginx@${digest}`],
    [`reg.example.com/app:1.2@${digest}`, `reg.example.com/app@${digest}`],
  ];
  for (const [text, name] of names) assert.equal(parsed(text).name, name, text);
});

test('registry, repository, tag and digest are told apart', () => {
  assert.deepEqual(parsed(`127.0.0.1:5000/team/app:v1@${digest}`), {
    registry: '127.0.0.1:5000',
    repository: '127.0.0.1:5000/team/app',
    tag: 'v1',
    digest,
    name: `127.0.0.1:5000/team/app@${digest}`,
  });
});

test('what is no reference says why', () => {
  const complaints: readonly (readonly [string, RegExp])[] = [
    ['https://reg.example.com/app', /has a scheme/],
    ['my image', /has a space/],
    ['reg.example.com/Team/app', /lower case/],
    ['reg.example.com/app-$(ARCHS)', /a variable other than/],
    ['', /no image reference/],
    ['reg.example.com/', /no image reference/],
    ['app:', /no image reference/],
    [`app@sha256:${'0'.repeat(63)}`, /64 lower-case/],
    [`app@sha256:${'A'.repeat(64)}`, /64 lower-case/],
    [`app@sha512:${'0'.repeat(64)}`, /not sha512: with 128/],
    [`app@md5:${'0'.repeat(32)}`, /know no digest md5/],
    ['0123456789abcdef'.repeat(4), /the id of an image/],
    ['reg.example.com:99999/app', /no port 99999/],
    ['reg.example.com:0/app', /no port 0/],
    ['a'.repeat(1_001), /longer than 1000/],
    [`${'a'.repeat(250)}/app`, /longer than 255/],
  ];
  for (const [text, complaint] of complaints) {
    const problem = parseImageReference(text);
    assert.ok(typeof problem === 'string', text);
    assert.match(problem, complaint, text);
  }
});

test('no text is a crash or slow, and a name that comes out is a reference to the same', () => {
  const wild = fc.string({
    unit: fc.constantFrom('a', 'B', '0', '.', '/', ':', '@', '-', '_', '$', ' '),
    maxLength: 1_200,
  });
  const asked = performance.now();
  fc.assert(
    fc.property(wild, text => {
      const reference = parseImageReference(text);
      if (typeof reference !== 'string') assert.equal(parsed(reference.name).name, reference.name);
    }),
    { numRuns: 5_000 },
  );
  parseImageReference(`${'a-'.repeat(499)}!`);
  parseImageReference(`${'a__'.repeat(330)}!`);
  assert.ok(performance.now() - asked < 10_000);
});
