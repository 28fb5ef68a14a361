import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageArchitecture, planImages } from '../../agent/images/wanted-images.ts';

const node = { arch: 'arm64', os: 'linux', nodeName: 'node-1' };

test('the policy follows the tag as in Kubernetes, unless it is given', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const { wanted } = planImages(
    [
      { image: 'a' },
      { image: 'b:latest' },
      { image: 'c:1' },
      { image: `d@${digest}` },
      { image: `e:latest@${digest}` },
      { image: 'f', pullPolicy: 'IfNotPresent' },
    ],
    node,
  );
  assert.deepEqual(
    wanted.map(({ image, pullPolicy }) => [image[0], pullPolicy]),
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
  const { wanted } = planImages(
    [
      { image: 'pause-$(ARCH)-$(OS):3.9' },
      { image: 'logs/$(NODE_NAME):1', priority: 5 },
      { image: 'docker.io/library/pause-arm64-linux:3.9', priority: 9 },
      { image: 'last:1', priority: -1 },
    ],
    node,
  );
  assert.deepEqual(
    wanted.map(({ image }) => image),
    ['logs/node-1:1', 'pause-arm64-linux:3.9', 'last:1'],
  );
});

test('what is no reference is set aside and holds up nothing', () => {
  const { wanted, unusable } = planImages([{ image: 'A b', required: false }, { image: 'a:1' }], node);
  assert.equal(wanted.length, 1);
  assert.deepEqual(unusable, [{ image: 'A b', required: false, problem: 'it has a space in it' }]);
});

test('architectures have the names that images use', () => {
  assert.deepEqual(['x64', 'arm64', 'ppc64', 's390x'].map(imageArchitecture), [
    'amd64',
    'arm64',
    'ppc64le',
    's390x',
  ]);
});
