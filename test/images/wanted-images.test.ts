import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageArchitecture } from '../../agent/images/wanted-images.ts';
import { planned, wanted } from './listed.ts';

test('the policy follows the tag as in Kubernetes, unless it is given', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const images = wanted('a', 'b:latest', 'c:1', `d@${digest}`, `e:latest@${digest}`, {
    image: 'f',
    pullPolicy: 'IfNotPresent',
  });
  assert.deepEqual(
    images.map(({ image, pullPolicy }) => [image[0], pullPolicy]),
    [
      ['a', 'Always'],
      ['b', 'Always'],
      ['c', 'IfNotPresent'],
      ['d', 'IfNotPresent'],
      ['e', 'Always'],
      ['f', 'IfNotPresent'],
    ],
  );
});

test('variables are those of the node, the highest priority is first, and an image listed twice is one', () => {
  const { wanted, warnings } = planned(
    { image: 'pause-$(ARCH)-$(OS):3.9', priority: 0 },
    { image: 'logs/$(NODE_NAME):1', priority: 5 },
    { image: 'docker.io/library/pause-arm64-linux:3.9' },
    { image: 'last:1', priority: -1 },
  );
  assert.deepEqual(
    wanted.map(({ image }) => image),
    ['logs/node-1:1', 'pause-arm64-linux:3.9', 'last:1'],
  );
  assert.deepEqual(warnings, [], 'both say the same');
});

test('an image that is listed twice with other settings has those of the first, and that is told', () => {
  const { wanted, warnings } = planned(
    { image: 'a:1', priority: 2 },
    { image: 'b:1' },
    { image: 'docker.io/library/a:1', pin: true },
  );
  assert.deepEqual(
    wanted.map(({ image, priority, pin }) => [image, priority, pin]),
    [
      ['a:1', 2, false],
      ['b:1', 0, false],
    ],
  );
  assert.deepEqual(warnings, [
    'image docker.io/library/a:1 is listed twice (line 3, column 3 of the config); the settings of the first count',
  ]);
});

test('an image with tag and digest is told, because a pod with the tag alone will not find it', () => {
  const image = `r.io/app:1.2@sha256:${'0'.repeat(64)}`;
  const { wanted, warnings } = planned({ image }, { image });
  assert.deepEqual(
    wanted.map(({ reference }) => reference.name),
    [`r.io/app@sha256:${'0'.repeat(64)}`],
  );
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0] ?? '',
    /has a tag and a digest \(line 1, column 3 of the config\): a pod that says r\.io\/app:1\.2 will not find it/,
  );
});

test('no tag is told as lost that another image of the list has, and each that is lost is told', () => {
  const [one, two] = ['r.io/app:1.2', 'r.io/app:1.3'];
  const digest = `sha256:${'0'.repeat(64)}`;
  const lost = (...images: readonly string[]) =>
    planned(...images.map(image => ({ image }))).warnings.map(text => /says (\S+) will/.exec(text)?.[1]);
  assert.deepEqual(lost(`${one}@${digest}`, one), []);
  assert.deepEqual(lost(`${one}@${digest}`, `${two}@${digest}`), [one, two]);
  assert.deepEqual(lost(`r.io/app@${digest}`, `${one}@${digest}`), [one]);
});

test('what is no reference is set aside with where it stands, and holds up nothing', () => {
  const bad: Readonly<Record<string, string>> = {
    'A b': 'it has a space in it',
    'http://x/a': 'it has a scheme; write it without',
    'r.io/A/b': 'a repository is written in lower case',
    '$(FOO)/a': 'it has a variable other than $(ARCH), $(OS) and $(NODE_NAME)',
  };
  const { wanted, unusable } = planned(
    { image: 'a:1' },
    ...Object.keys(bad).map(image => ({ image, required: false })),
  );
  assert.equal(wanted.length, 1);
  const problems = Object.entries(bad).map(([image, problem], index) => {
    return { image, required: false, problem: `${problem} (line ${index + 2}, column 3 of the config)` };
  });
  assert.deepEqual(unusable, problems);
});

test('architectures have the names that images use', () => {
  assert.deepEqual(['x64', 'arm64', 'ppc64', 's390x'].map(imageArchitecture), [
    'amd64',
    'arm64',
    'ppc64le',
    's390x',
  ]);
});
