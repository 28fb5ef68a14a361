import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { findHiddenFiles } from '../../agent/credentials/hidden-files.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';

const kubelet = '/var/lib/kubelet/config.json';
const docker = '/root/.docker/config.json';
const auth = 'dTpw';

async function node(t: TestContext, files: Record<string, unknown>): Promise<string> {
  const hostRoot = await temporaryDirectory(t);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(hostRoot, path)), { recursive: true });
    await writeFile(join(hostRoot, path), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return hostRoot;
}

async function warnings(t: TestContext, files: Record<string, unknown>, targets = [kubelet, docker]) {
  return (await findHiddenFiles(await node(t, files), targets, ['ours.io'])).map(({ text }) => text);
}

const ours = { auths: { 'ours.io': { auth } } };

test('a file whose credentials the kubelet no longer sees because of ours is named, with what is lost', async t => {
  const others = {
    '/.docker/config.json': { auths: { 'https://lost.io/v1/': { auth }, 'ours.io': { auth } } },
  };
  assert.deepEqual(await warnings(t, { [kubelet]: ours, ...others }), [
    `the kubelet reads ${kubelet} and so not /.docker/config.json, which alone has credentials for "https://lost.io/v1/"; put them into a Secret that is mounted here if pods need them`,
  ]);
  const legacy = { '/var/lib/kubelet/.dockercfg': { 'lost.io': { auth } } };
  assert.match(
    (await warnings(t, { [kubelet]: ours, ...legacy })).join(),
    /so not \/var\/lib\/kubelet\/.dockercfg/,
  );
});

test('a file that has nothing more than ours, or that the kubelet could not read, is no matter', async t => {
  assert.deepEqual(await warnings(t, { [kubelet]: ours, [docker]: ours }), []);
  const broken = { '/.docker/config.json': { auths: { 'lost.io': { auth: 'x' } } }, '/config.json': '{' };
  assert.deepEqual(await warnings(t, { [kubelet]: ours, ...broken }), []);
});

test('what others hide from each other is not told', async t => {
  const files = { [kubelet]: { auths: {} }, '/.docker/config.json': { auths: { 'lost.io': { auth } } } };
  assert.deepEqual(await warnings(t, files, [docker]), []);
});

test('a file of somebody else that hides ours from the kubelet is named', async t => {
  const files = { [kubelet]: { auths: {} }, '/.docker/config.json': ours };
  assert.deepEqual(await warnings(t, files, ['/.docker/config.json']), [
    `the kubelet reads ${kubelet} and so never /.docker/config.json; add ${kubelet} to credentials.targets`,
  ]);
});

test('the list of a kubelet with another root directory begins there', async t => {
  const elsewhere = '/var/lib/k0s/kubelet/config.json';
  const files = { [elsewhere]: ours, '/config.json': { auths: { 'lost.io': { auth } } } };
  assert.match(
    (await warnings(t, files, [elsewhere])).join(),
    /reads \/var\/lib\/k0s\/kubelet\/config.json and so not \/config.json/,
  );
});
