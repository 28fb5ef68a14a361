import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formOf, readerOf } from '../../agent/credentials/target-kind.ts';

test('the path of a target says who reads it, and in which form', () => {
  const kinds = [
    ['/var/lib/kubelet/config.json', 'kubelet', 'dockerconfigjson'],
    ['/var/lib/k0s/kubelet/config.json', 'kubelet', 'dockerconfigjson'],
    ['/config.json', 'kubelet', 'dockerconfigjson'],
    ['/.docker/config.json', 'kubelet', 'dockerconfigjson'],
    ['/root/.docker/config.json', 'docker', 'dockerconfigjson'],
    ['/home/ci/.docker/config.json', 'docker', 'dockerconfigjson'],
    ['/root/.dockercfg', 'kubelet', 'dockercfg'],
    ['/var/lib/kubelet/.dockercfg', 'kubelet', 'dockercfg'],
  ] as const;
  for (const [path, reader, form] of kinds)
    assert.deepEqual([readerOf(path), formOf(path)], [reader, form], path);
});
