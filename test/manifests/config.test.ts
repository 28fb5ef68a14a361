import assert from 'node:assert/strict';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { defaultConfig, parseConfig } from '../../agent/config.ts';
import { placesOf } from './pod-places.ts';
import {
  agentPod,
  configText,
  kustomizations,
  manifests,
  nameOf,
  type RenderedObject,
  render,
  theOnly,
  variants,
} from './rendered.ts';

describe('the generated config', { timeout: 60_000 }, () => {
  it('is one that the agent takes, and changes nothing until it is edited', async () => {
    assert.deepEqual(parseConfig(await configSource()), { ok: true, config: defaultConfig });
  });

  it('shows examples that the agent takes, with its own default values', async () => {
    const parsed = parseConfig(examplesOf(await configSource()));

    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.ok(parsed.config.images.length > 0);
    assert.deepEqual({ ...parsed.config, images: [] }, defaultConfig);
  });

  it('has a hash in its name, and the pod asks for it by that name', async () => {
    const objects = await render(manifests);

    assert.match(configName(objects), /^pullready-config-[a-z0-9]{8,}$/);
    assert.equal(mountedConfig(objects), configName(objects));
  });

  it('is a new pod template, and so a rollout, when config.yaml changes', async test => {
    const copy = join(await temporaryDirectory(test), 'manifests');
    await cp(manifests, copy, { recursive: true });
    const before = await render(copy);
    await appendFile(join(copy, 'base/config.yaml'), 'pulls: { concurrency: 1 }\n');

    const after = await render(copy);

    assert.notEqual(configName(after), configName(before));
    assert.equal(mountedConfig(after), configName(after));
  });

  for (const kustomization of kustomizations) {
    it(`can be replaced, together with the image, by a user who builds on ${nameOf(kustomization)}`, async test => {
      const directory = await temporaryDirectory(test);
      await cp(manifests, join(directory, 'pullready/manifests'), { recursive: true });
      await mkdir(join(directory, 'mine'));
      await writeFile(join(directory, 'mine/config.yaml'), 'images: [registry.example.com/team/api:v1]\n');
      const base = join('../pullready/manifests', relative(manifests, kustomization));
      await writeFile(join(directory, 'mine/kustomization.yaml'), usersKustomization(base));

      const objects = await render(join(directory, 'mine'));

      assert.equal(configText(objects), 'images: [registry.example.com/team/api:v1]\n');
      assert.equal(mountedConfig(objects), configName(objects));
      const { container } = agentPod(objects);
      assert.match(String(container.image), /^registry\.example\.com\/infrastructure\/pullready:/);
    });
  }

  for (const kustomization of kustomizations) {
    it(`${nameOf(kustomization)}: names the files of its nodes, and is else all defaults`, async () => {
      const parsed = parseConfig(configText(await render(kustomization)));

      const credentials = { ...defaultConfig.credentials, targets: placesOf(kustomization).targets };
      assert.deepEqual(parsed, { ok: true, config: { ...defaultConfig, credentials } });
    });
  }

  it('of a variant has targets of its own only where the README tells to repeat them', async () => {
    const readme = await readFile(join(manifests, '../README.md'), 'utf8');
    const rows = readme.matchAll(/^\| `([\w-]+)` \| `\[(.*)\]` \|$/gm);
    const told = Object.fromEntries(Array.from(rows, ([, name, paths]) => [name, paths?.split(', ')]));
    const special = variants.filter(
      variant => placesOf(variant).targets.join() !== defaultConfig.credentials.targets.join(),
    );
    assert.deepEqual(
      told,
      Object.fromEntries(special.map(variant => [basename(variant), placesOf(variant).targets])),
    );
  });
});

function configSource(): Promise<string> {
  return readFile(join(manifests, 'base/config.yaml'), 'utf8');
}

/** The examples alone: the comments that are YAML, made into text. */
function examplesOf(text: string): string {
  const examples = text.matchAll(/^# ( *(?:- |[a-zA-Z]+:(?: |$)).*)$/gm);
  return Array.from(examples, ([, example]) => example).join('\n');
}

/** As the comment in manifests/kustomization.yaml tells it. */
function usersKustomization(base: string): string {
  return `
bases:
  - ${base}
images:
  - name: pullready
    newName: registry.example.com/infrastructure/pullready
configMapGenerator:
  - name: pullready-config
    namespace: pullready
    behavior: replace
    files:
      - config.yaml
`;
}

function configName(objects: readonly RenderedObject[]): string {
  return theOnly('ConfigMap', objects).metadata.name;
}

function mountedConfig(objects: readonly RenderedObject[]): string | undefined {
  const { pod } = agentPod(objects);
  return pod.volumes?.find(volume => volume.name === 'config')?.configMap?.name;
}

async function temporaryDirectory(test: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pullready-manifests-'));
  test.after(() => rm(directory, { recursive: true }));
  return directory;
}
