import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import type { IVolumeMount } from 'kubernetes-models/v1/VolumeMount';
import { parseConfig } from '../../agent/config.ts';
import { findRuntime } from '../../agent/runtimes/find-runtime.ts';
import { environmentName, parseSettings, type Settings, settingNames } from '../../agent/settings.ts';
import { agentPod, configText, kustomizations, manifests, nameOf, render } from './rendered.ts';

for (const directory of kustomizations) {
  describe(`the pod of ${nameOf(directory)} and the settings of the agent`, { timeout: 60_000 }, () => {
    let pod: IPodSpec;
    let container: IContainer;
    let settings: Settings;
    let targets: readonly string[];

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

    it('lets the agent reach each socket where it looks for a runtime, but change nothing around it', async () => {
      for (const socket of await runtimeSockets()) {
        // Patched by who has it: no other distribution has this directory.
        if (socket.startsWith('/var/snap/microk8s/')) continue;
        const mount = mountAround(join(settings['host-root'], socket), container);
        assert.equal(mount.readOnly, true, `${socket} lies on a read-only mount`);
      }
    });

    it('gives back what the kubelet and the runtime unmount below a mounted directory', () => {
      for (const path of ['/var/lib/kubelet', '/run']) {
        const mount = mountAt(join(settings['host-root'], path), container);
        assert.equal(mount.mountPropagation, 'HostToContainer', path);
      }
    });
  });
}

/** Where the agent looks for a runtime by itself, as it says when there is none. */
async function runtimeSockets(): Promise<readonly string[]> {
  const nowhere = '/nonexistent';
  const message = await findRuntime('auto', nowhere, AbortSignal.timeout(5_000)).then(
    () => assert.fail(`there is a runtime in ${nowhere}`),
    (error: Error) => error.message,
  );
  const sockets: readonly string[] = message.match(/\/[^ ,]+\.sock/g) ?? [];
  assert.ok(sockets.includes('/run/containerd/containerd.sock'), message);
  return sockets;
}

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

function mountAround(path: string, container: IContainer): IVolumeMount {
  const mount = container.volumeMounts?.find(candidate => path.startsWith(`${candidate.mountPath}/`));
  assert.ok(mount, `nothing is mounted around ${path}`);
  return mount;
}
