import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { IDaemonSet } from 'kubernetes-models/apps/v1/DaemonSet';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { INamespace } from 'kubernetes-models/v1/Namespace';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import { placesOf } from './pod-places.ts';
import { agentPod, kustomizations, nameOf, type RenderedObject, render, theOnly } from './rendered.ts';

for (const directory of kustomizations) {
  describe(`what ${nameOf(directory)} is allowed`, { timeout: 60_000 }, () => {
    let objects: readonly RenderedObject[];
    let daemonSet: IDaemonSet;
    let pod: IPodSpec;
    let container: IContainer;

    before(async () => {
      objects = await render(directory);
      ({ daemonSet, pod, container } = agentPod(objects));
    });

    it('root without capabilities, without a way to more, on a read-only root file system', () => {
      assert.equal(pod.securityContext?.runAsUser, 0);
      assert.deepEqual(pod.securityContext?.seccompProfile, { type: 'RuntimeDefault' });
      const { seLinuxOptions, ...rest } = container.securityContext ?? {};
      assert.deepEqual(rest, {
        capabilities: { drop: ['ALL'] },
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
      });
      const selinux = directory.endsWith('selinux') ? { type: 'spc_t' } : undefined;
      assert.deepEqual(seLinuxOptions, selinux);
    });

    it('none of the namespaces of the node, and no port of it', () => {
      assert.equal(pod.hostNetwork, undefined);
      assert.equal(pod.hostPID, undefined);
      assert.equal(pod.hostIPC, undefined);
      assert.ok(container.ports?.every(port => port.hostPort === undefined));
    });

    it('no token, and no right in the cluster that one could use', () => {
      assert.equal(theOnly('ServiceAccount', objects).automountServiceAccountToken, false);
      assert.equal(pod.serviceAccountName, theOnly('ServiceAccount', objects).metadata.name);
      assert.equal(pod.automountServiceAccountToken, false);
      assert.ok(pod.volumes?.every(volume => volume.projected === undefined));
      assert.ok(objects.every(object => !/Role/.test(object.kind)));
    });

    it('directories of the node, and no file, socket or subPath', () => {
      const hostPaths = pod.volumes?.flatMap(volume => volume.hostPath ?? []) ?? [];
      assert.ok(hostPaths.length > 0);
      for (const { path, type } of hostPaths) assert.match(String(type), /^Directory(OrCreate)?$/, path);
      for (const mount of container.volumeMounts ?? []) {
        assert.equal(mount.subPath ?? mount.subPathExpr, undefined, mount.mountPath);
      }
    });

    it('only these directories of the node', () => {
      assert.deepEqual(
        pod.volumes?.flatMap(volume => volume.hostPath?.path ?? []).sort(),
        placesOf(directory).mounted.toSorted(),
      );
    });

    it('a namespace that admits hostPath volumes, and everything is in it', () => {
      const namespace = theOnly('Namespace', objects) as unknown as INamespace;
      assert.equal(namespace.metadata?.labels?.['pod-security.kubernetes.io/enforce'], 'privileged');
      for (const object of objects) {
        if (object.kind !== 'Namespace') assert.equal(object.metadata.namespace, namespace.metadata?.name);
      }
    });

    it('a place on every Linux node that is a machine, before all others', () => {
      assert.deepEqual(pod.tolerations, [{ operator: 'Exists' }]);
      assert.deepEqual(pod.nodeSelector, { 'kubernetes.io/os': 'linux' });
      assert.equal(pod.priorityClassName, 'system-node-critical');
    });

    it('memory with a limit, and processor time without one', () => {
      assert.ok(container.resources?.requests?.cpu);
      assert.ok(container.resources?.requests?.memory);
      assert.deepEqual(Object.keys(container.resources?.limits ?? {}), ['memory']);
    });

    it('a rollout that pulls on some of the nodes at once, one agent per node', () => {
      const { type, rollingUpdate } = daemonSet.spec?.updateStrategy ?? {};
      assert.equal(type, 'RollingUpdate');
      assert.ok(rollingUpdate?.maxUnavailable, 'the limit is set');
      assert.equal(rollingUpdate.maxSurge, undefined, 'two agents on a node would wait for each other');
    });

    it('ten seconds to end, of which the agent uses five', () => {
      assert.equal(pod.terminationGracePeriodSeconds, 10);
    });
  });
}
