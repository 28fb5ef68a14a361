import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseImageManifest } from '../../../agent/runtimes/containerd/image-manifest.ts';

test('a manifest is its config and layers, each once, and an index its manifests', () => {
  const layer = { mediaType: 'layer', digest: 'sha256:2', size: 20 };
  const manifest = {
    config: { digest: 'sha256:1', size: 10 },
    layers: [layer, layer, { digest: 'sha256:3' }],
  };
  assert.deepEqual(parseImageManifest(JSON.stringify(manifest)), {
    blobs: [
      { digest: 'sha256:1', size: 10 },
      { digest: 'sha256:2', size: 20 },
      { digest: 'sha256:3', size: 0 },
    ],
    children: [],
  });
  const index = { manifests: [{ digest: 'sha256:4', size: 1 }, { digest: 'sha256:5' }] };
  assert.deepEqual(parseImageManifest(JSON.stringify(index)), {
    blobs: [],
    children: ['sha256:4', 'sha256:5'],
  });
});

test('everything else is none, whatever it is', () => {
  const config = { architecture: 'amd64', config: { Cmd: ['x'] }, rootfs: { diff_ids: [] } };
  for (const text of ['', '{', 'null', '[]', '{"config":{},"layers":[null]}', JSON.stringify(config)])
    assert.equal(parseImageManifest(text), undefined, text);
  const parts = fc.record({ config: fc.anything(), layers: fc.anything(), manifests: fc.anything() });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        parts.map(part => JSON.stringify(part)),
      ),
      text => {
        parseImageManifest(text);
      },
    ),
  );
});
