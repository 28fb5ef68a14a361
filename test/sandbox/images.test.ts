import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { cleanUp } from './cleanup.ts';
import { publishImage } from './images.ts';
import { type Registry, startRegistry } from './registry.ts';
import { temporaryDirectory } from './temporary.ts';

const options = { timeout: 20_000 };
const recipe = { repository: 'team/api', tag: 'v1', layers: [5000, 100_000, 7] };

test('the same recipe makes the same image everywhere, and another recipe another one', options, async t => {
  const one = await temporaryRegistry(t);
  const other = await temporaryRegistry(t);

  const image = await publishImage(one, recipe);
  assert.equal((await publishImage(other, recipe)).digest, image.digest);
  assert.equal((await publishImage(one, recipe)).isNew, false);

  const changed = await publishImage(one, { ...recipe, layers: [5000, 100_001] });
  assert.equal(changed.isNew, true);
  assert.notEqual(changed.digest, image.digest);
});

test('layers are as large as the recipe says, because they cannot be compressed', options, async t => {
  const registry = await temporaryRegistry(t);
  await publishImage(registry, recipe);
  const manifest = await registry.publish(recipe.repository, `manifests/${recipe.tag}`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  });
  const { layers } = (await manifest.json()) as { layers: { size: number }[] };
  for (const [index, { size }] of layers.entries()) {
    const wanted = recipe.layers[index] ?? 0;
    assert.ok(size >= wanted && size < wanted + 4096, `layer ${index} has ${size} bytes`);
  }
});

async function temporaryRegistry(t: TestContext): Promise<Registry> {
  let registry: Registry | undefined;
  const directory = await temporaryDirectory(t);
  cleanUp(t, async () => registry?.stop());
  registry = await startRegistry({ directory, logFile: join(directory, 'registry.log'), users: [] });
  return registry;
}
