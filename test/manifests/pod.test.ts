import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import type { IVolumeMount } from 'kubernetes-models/v1/VolumeMount';
import { parseConfig } from '../../agent/config.ts';
import { knownSockets } from '../../agent/runtimes/known-sockets.ts';
import { environmentName, parseSettings, type Settings, settingNames } from '../../agent/settings.ts';
import { placesOf } from './pod-places.ts';
import { agentPod, configText, kustomizations, manifests, nameOf, render } from './rendered.ts';

for (const directory of kustomizations) {
  describe(`the pod of ${nameOf(directory)} and the settings of the agent`, { timeout: 60_000 }, () => {
    let pod: IPodSpec;
    let container: IContainer;
    let settings: Settings;
    let targets: readonly string[];
    const places = placesOf(directory);

    before(async () => {
      const objects = await render(directory);
      ({ pod, container } = agentPod(objects));
      settings = settingsOf(container);
      const parsed = parseConfig(configText(objects));
      assert.ok(parsed.ok);
      ({ targets } = parsed.config.credentials);
    });

    it('gives a command and flags that the agent knows', () => {
      assert.equal(container.args?.[0], 'run');
      assert.equal(container.command, undefined, 'the image says which program runs');
    });

    it('sets no variable of the agent that does not exist', () => {
      const known = new Set(settingNames.map(environmentName));
      const ours = (container.env ?? [])
        .map(variable => variable.name)
        .filter(name => /^PULLREADY_/.test(name));
      assert.deepEqual(
        ours.filter(name => !known.has(name)),
        [],
      );
      assert.equal(pod.enableServiceLinks, false, 'Kubernetes would add more of them');
    });

    it('tells the agent the name of its node', () => {
      const variable = container.env?.find(candidate => candidate.name === 'NODE_NAME');
      assert.equal(variable?.valueFrom?.fieldRef?.fieldPath, 'spec.nodeName');
    });

    it('opens the port that the agent listens on, and probes it there', () => {
      assert.deepEqual(container.ports, [{ name: 'http', containerPort: port(settings.listen) }]);
      const { startupProbe, livenessProbe, readinessProbe } = container;
      assert.deepEqual(startupProbe?.httpGet, { path: '/livez', port: 'http' });
      assert.deepEqual(livenessProbe?.httpGet, { path: '/livez', port: 'http' });
      assert.deepEqual(readinessProbe?.httpGet, { path: '/readyz', port: 'http' });
    });

    it('mounts the directory of the config, and the config is in it', async () => {
      const mount = mountAt(dirname(settings.config), container);
      const volume = pod.volumes?.find(candidate => candidate.name === mount.name);
      assert.match(String(volume?.configMap?.name), /^pullready-config-/);
      assert.equal(mount.readOnly, true);
      const kustomization = await readFile(join(manifests, 'base/kustomization.yaml'), 'utf8');
      assert.match(kustomization, /files:\n\s+- config\.yaml\n/, 'the key is the name of the file');
      assert.equal(settings.config, join(mount.mountPath, 'config.yaml'));
    });

    it('mounts every Secret in a directory of its own where the agent looks, and waits for none', () => {
      const secrets = pod.volumes?.filter(volume => volume.secret) ?? [];
      assert.ok(secrets.length > 0);
      for (const { name, secret } of secrets) {
        const mount = container.volumeMounts?.find(candidate => candidate.name === name);
        assert.equal(dirname(String(mount?.mountPath)), settings.secrets);
        assert.equal(mount?.readOnly, true);
        assert.equal(secret?.optional, true);
        assert.equal(secret?.defaultMode, 0o400);
      }
    });

    it('mounts each directory of the node below the host root, at its own path', () => {
      for (const volume of pod.volumes ?? []) {
        if (!volume.hostPath) continue;
        const mount = container.volumeMounts?.find(candidate => candidate.name === volume.name);
        assert.equal(mount?.mountPath, join(settings['host-root'], volume.hostPath.path));
      }
    });

    it('lets the agent write its state and the targets, replace them by rename, and write nothing else', () => {
      const written = [settings['state-dir'], ...targets.map(dirname)];
      assert.deepEqual(
        container.volumeMounts
          ?.filter(({ readOnly }) => readOnly !== true)
          .map(mount => mount.mountPath)
          .sort(),
        written.map(path => join(settings['host-root'], path)).sort(),
      );
    });

    it('lets the agent reach each socket that its nodes may have, but change nothing around it', () => {
      assert.ok(places.sockets.length > 0);
      for (const socket of places.sockets) {
        const mount = mountAround(join(settings['host-root'], socket), container);
        assert.equal(mount?.readOnly, true, `${socket} lies on a read-only mount`);
      }
    });

    it('lets the agent look for a runtime at these sockets, or names the only one', () => {
      const { runtime } = settings;
      if (runtime !== 'auto') assert.deepEqual(places.sockets, [runtime.replace(/^unix:\/\//, '')]);
      const known: readonly string[] = knownSockets.flat();
      assert.deepEqual(
        places.sockets.filter(socket => !known.includes(socket)),
        [],
      );
    });

    it('has the file that the kubelet of its nodes reads among the targets', () => {
      assert.ok(targets.includes(join(places.kubeletRoot, 'config.json')), String(targets));
    });

    it('lets the disk guard measure the file system of the images, and no other one that is mounted', () => {
      const mount = mountAround(join(settings['host-root'], places.imageDirectory), container);
      const expected = places.imageMount && join(settings['host-root'], places.imageMount);
      assert.equal(mount?.mountPath, expected);
      if (mount) assert.equal(mount.readOnly, true);
    });

    it('gives back what the kubelet and the runtime unmount below a mounted directory', () => {
      const theirs = pod.volumes?.filter(({ hostPath }) => hostPath?.type === 'Directory') ?? [];
      assert.ok(theirs.length >= 2, "the kubelet's and that of the socket");
      for (const { hostPath } of theirs) {
        const mount = mountAt(join(settings['host-root'], String(hostPath?.path)), container);
        assert.equal(mount.mountPropagation, 'HostToContainer', mount.mountPath);
      }
    });
  });
}

describe('the kustomizations together', () => {
  it('are for every place where the agent looks for a runtime', () => {
    const reached = new Set(kustomizations.flatMap(directory => placesOf(directory).sockets));
    assert.deepEqual([...reached].toSorted(), knownSockets.flat().toSorted());
  });
});

/** The settings as the agent in the container reads them; fails on every flag that it would refuse. */
function settingsOf(container: IContainer): Settings {
  const environment = Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value]));
  const parsed = parseSettings(container.args?.slice(1) ?? [], environment);
  assert.deepEqual(parsed.ok ? [] : parsed.problems, []);
  assert.ok(parsed.ok);
  return parsed.settings;
}

function port(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

function mountAt(path: string, container: IContainer): IVolumeMount {
  const mount = container.volumeMounts?.find(candidate => candidate.mountPath === path);
  assert.ok(mount, `nothing is mounted at ${path}`);
  return mount;
}

/** The mount that a path lies on; undefined if that is the container's own root. */
function mountAround(path: string, container: IContainer): IVolumeMount | undefined {
  return container.volumeMounts?.find(({ mountPath }) => `${path}/`.startsWith(`${mountPath}/`));
}
