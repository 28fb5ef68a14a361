import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { IDaemonSet } from 'kubernetes-models/apps/v1/DaemonSet';
import type { IConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import { parseAllDocuments } from 'yaml';

/** The directory of the manifests; itself a kustomization. */
export const manifests = fileURLToPath(new URL('../../manifests', import.meta.url));

/** The directories of the variants. */
export const variants: readonly string[] = readdirSync(join(manifests, 'variants')).map(name =>
  join(manifests, 'variants', name),
);

/** Every kustomization that a user may apply. */
export const kustomizations: readonly string[] = [manifests, ...variants];

/** How a kustomization is called in the name of a test. */
export function nameOf(kustomization: string): string {
  return relative(manifests, kustomization) || 'the base';
}

/** A Kubernetes object as it comes out of kustomize, before anything has looked at its fields. */
export type RenderedObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
};

/** What `kubectl apply -k DIRECTORY` would send to the cluster. */
export async function render(directory: string): Promise<readonly RenderedObject[]> {
  const text = await kustomize(directory);
  return parseAllDocuments(text).map(document => document.toJS() as RenderedObject);
}

/** The only object of a kind. */
export function theOnly(kind: string, objects: readonly RenderedObject[]): RenderedObject {
  const [object, ...others] = objects.filter(candidate => candidate.kind === kind);
  assert.ok(object !== undefined && others.length === 0, `expected exactly one ${kind}`);
  return object;
}

/** The text of the config that is mounted. */
export function configText(objects: readonly RenderedObject[]): string {
  const { data } = theOnly('ConfigMap', objects) as unknown as IConfigMap;
  const text = data?.['config.yaml'];
  assert.ok(text !== undefined, 'the ConfigMap has a config.yaml');
  return text;
}

/** The pod of the rendered DaemonSet and its only container. */
export function agentPod(objects: readonly RenderedObject[]): {
  readonly daemonSet: IDaemonSet;
  readonly pod: IPodSpec;
  readonly container: IContainer;
} {
  const daemonSet = theOnly('DaemonSet', objects) as unknown as IDaemonSet;
  const pod = daemonSet.spec?.template.spec;
  assert.ok(pod, 'the DaemonSet has a pod template');
  const [container, ...others] = pod.containers;
  assert.ok(container !== undefined && others.length === 0, 'the pod has exactly one container');
  return { daemonSet, pod, container };
}

async function kustomize(directory: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('kubectl', ['kustomize', directory], { timeout: 30_000 });
    return stdout;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new Error(
        'kubectl is not on the PATH, and the manifests cannot be tested without it: install it (Debian: apt-get install kubernetes-client)',
        { cause: error },
      );
    throw error;
  }
}
