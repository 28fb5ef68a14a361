import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DaemonSet } from 'kubernetes-models/apps/v1/DaemonSet';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Namespace } from 'kubernetes-models/v1/Namespace';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { kustomizations, manifests, nameOf, type RenderedObject, render, theOnly } from './rendered.ts';

const nodeModules = fileURLToPath(new URL('../../node_modules', import.meta.url));

/** The kinds that are installed, each with the module of its schema. Every other kind is a fault. */
const kinds = {
  Namespace: { model: Namespace, module: 'kubernetes-models/v1/Namespace' },
  ServiceAccount: { model: ServiceAccount, module: 'kubernetes-models/v1/ServiceAccount' },
  ConfigMap: { model: ConfigMap, module: 'kubernetes-models/v1/ConfigMap' },
  DaemonSet: { model: DaemonSet, module: 'kubernetes-models/apps/v1/DaemonSet' },
} as const;

const compilerOptions = { strict: true, noEmit: true, skipLibCheck: true, module: 'nodenext', types: [] };

describe('the rendered manifests and the Kubernetes API', { timeout: 120_000 }, () => {
  for (const directory of kustomizations) {
    it(`${nameOf(directory)}: every object has the values that its schema asks for`, async () => {
      const objects = await render(directory);
      assert.deepEqual(objects.map(object => object.kind).sort(), Object.keys(kinds).sort());
      for (const object of objects) validateValues(object);
    });

    it(`${nameOf(directory)}: no object has a field that its schema does not know`, async test => {
      assert.equal(await unknownFields(await render(directory), test), '');
    });
  }

  it('a wrong value or a missing field would be rejected', async () => {
    const daemonSet = theOnly('DaemonSet', await render(manifests));

    assert.throws(
      () => validateValues(changed(daemonSet, 'periodSeconds', '5')),
      /periodSeconds must be integer/,
    );
    assert.throws(
      () => validateValues(changed(daemonSet, 'selector', undefined)),
      /required property selector/,
    );
  });

  it('a misspelt field or an unknown word would be rejected', async test => {
    const daemonSet = theOnly('DaemonSet', await render(manifests));
    const misspelt = JSON.parse(
      JSON.stringify(daemonSet)
        .replace('readOnlyRootFilesystem', 'readOnlyRootFileSystem')
        .replace('HostToContainer', 'HostToContainers'),
    ) as RenderedObject;

    const complaints = await unknownFields([misspelt], test);

    assert.match(complaints, /"readOnlyRootFileSystem"/);
    assert.match(complaints, /"HostToContainers"/);
  });
});

function validateValues(object: RenderedObject): void {
  const { model: Model } = kindOf(object);
  assert.equal(object.apiVersion, Model.apiVersion, `${object.kind} has the wrong apiVersion`);
  new Model(object as never).validate();
}

/**
 * What the TypeScript compiler has to say about the objects, written as literals of the types made from Kubernetes'
 * schemas; an empty text if nothing. The validation of values does not notice a field too many, the compiler does.
 */
async function unknownFields(objects: readonly RenderedObject[], test: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pullready-schema-'));
  test.after(() => rm(directory, { recursive: true }));
  await symlink(nodeModules, join(directory, 'node_modules'));
  await writeFile(join(directory, 'objects.mts'), objects.map(asLiteral).join('\n'));
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  try {
    await promisify(execFile)(join(nodeModules, '.bin/tsc'), ['--project', directory], { timeout: 60_000 });
    return '';
  } catch (error) {
    if (error instanceof Error && 'stdout' in error && error.stdout !== '') return String(error.stdout);
    throw error;
  }
}

function asLiteral(object: RenderedObject, index: number): string {
  const type = `import('${kindOf(object).module}').I${object.kind}`;
  return `export const object${index}: ${type} = ${JSON.stringify(object, null, 2)};`;
}

function kindOf(object: RenderedObject): (typeof kinds)[keyof typeof kinds] {
  assert.ok(object.kind in kinds, `unexpected kind ${object.kind}`);
  return kinds[object.kind as keyof typeof kinds];
}

/** A copy in which every field of that name, at any depth, has another value. */
function changed(object: RenderedObject, field: string, value: unknown): RenderedObject {
  return JSON.parse(
    JSON.stringify(object, (name, current) => (name === field ? value : current)),
  ) as RenderedObject;
}
