import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { agentPod, kustomizations, manifests, nameOf, type RenderedObject, render } from './rendered.ts';

describe('the patch of a variant, added to another one as the README tells', { timeout: 60_000 }, () => {
  for (const base of kustomizations) {
    it(`selinux: gives ${nameOf(base)} the label, and changes nothing else`, async test => {
      const objects = await renderWithPatch(base, 'selinux', test);

      const { container, pod } = agentPod(objects);
      assert.equal(container.securityContext?.seLinuxOptions?.type, 'spc_t');
      const without = agentPod(await render(base));
      const { seLinuxOptions: _, ...securityContext } = container.securityContext ?? {};
      const { seLinuxOptions: __, ...expected } = without.container.securityContext ?? {};
      assert.deepEqual(securityContext, expected);
      assert.deepEqual(container.volumeMounts, without.container.volumeMounts);
      assert.deepEqual(pod.volumes, without.pod.volumes);
    });

    if (base.endsWith('kubelet-only')) continue;
    it(`kubelet-only: takes docker's directory from ${nameOf(base)}, and nothing else`, async test => {
      const { pod } = agentPod(await renderWithPatch(base, 'kubelet-only', test));

      const without = agentPod(await render(base));
      assert.deepEqual(hostPaths(pod), hostPaths(without.pod).difference(new Set(['/root/.docker'])));
    });
  }
});

/** What the kustomization of a user renders that stands beside a checkout of the project. */
async function renderWithPatch(
  base: string,
  patch: string,
  test: TestContext,
): Promise<readonly RenderedObject[]> {
  const directory = await mkdtemp(join(tmpdir(), 'pullready-manifests-'));
  test.after(() => rm(directory, { recursive: true }));
  await cp(manifests, join(directory, 'pullready/manifests'), { recursive: true });
  const kustomization = `
bases:
  - ${join('pullready/manifests', relative(manifests, base))}
patchesStrategicMerge:
  - pullready/manifests/variants/${patch}/daemonset.yaml
`;
  await writeFile(join(directory, 'kustomization.yaml'), kustomization);
  return render(directory);
}

function hostPaths(pod: ReturnType<typeof agentPod>['pod']): Set<string> {
  return new Set(pod.volumes?.flatMap(({ hostPath }) => hostPath?.path ?? []));
}
