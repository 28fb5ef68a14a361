import { randomInt } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

/** The keys of a Secret or ConfigMap and their content. */
export type VolumePayload = Readonly<Record<string, string>>;

/**
 * Makes `volume` hold exactly this payload, in the way and the order in which the kubelet does it (Kubernetes,
 * pkg/volume/util/atomic_writer.go). An empty payload leaves what an optional Secret that does not exist looks like:
 * `..data` is there and nothing else. Returns whether anything was written.
 */
export async function updateKubeletVolume(volume: string, payload: VolumePayload): Promise<boolean> {
  await mkdir(volume, { recursive: true });
  for (const key of Object.keys(payload)) checkKey(key);

  // 1. Where does ..data lead now, if it is there?
  const oldGeneration = await readlink(join(volume, '..data')).catch(whenMissing);
  // 2. What is there already and is as it should be is not written again.
  const oldPayload = oldGeneration === undefined ? undefined : await readPayload(join(volume, oldGeneration));
  if (oldPayload !== undefined && isDeepStrictEqual(oldPayload, { ...payload })) return false;
  // 3. A new directory, named after the time and a random number.
  const generation = await createGeneration(volume);
  // 4. The files, with their modes whatever the umask is.
  for (const [key, content] of Object.entries(payload)) {
    const path = join(volume, generation, key);
    await writeFile(path, content);
    await chmod(path, 0o644);
  }
  // 5. and 6. The one moment of change: a new link is renamed over the old one.
  await rm(join(volume, '..data_tmp'), { force: true });
  await symlink(generation, join(volume, '..data_tmp'));
  await rename(join(volume, '..data_tmp'), join(volume, '..data'));
  // 7. What users see are links through ..data; those that are there stay as they are.
  const visible = await readdir(volume);
  for (const key of Object.keys(payload))
    if (!visible.includes(key)) await symlink(join('..data', key), join(volume, key));
  // 8. Links to keys that are gone. Until here they led nowhere.
  for (const key of Object.keys(oldPayload ?? {}))
    if (!Object.hasOwn(payload, key)) await rm(join(volume, key), { force: true });
  // 9. The old directory.
  if (oldGeneration !== undefined) await rm(join(volume, oldGeneration), { recursive: true, force: true });
  return true;
}

/** The payload that a volume holds now, empty if it was never written. */
export async function readKubeletVolume(volume: string): Promise<VolumePayload> {
  return (await readPayload(join(volume, '..data')).catch(whenMissing)) ?? {};
}

async function readPayload(directory: string): Promise<Record<string, string>> {
  const keys = await readdir(directory);
  return Object.fromEntries(
    await Promise.all(keys.map(async key => [key, await readFile(join(directory, key), 'utf8')] as const)),
  );
}

/** `..2026_01_02_15_04_05.123456789`, in local time. */
async function createGeneration(volume: string): Promise<string> {
  const now = new Date();
  const parts = [
    now.getFullYear(),
    now.getMonth() + 1,
    now.getDate(),
    now.getHours(),
    now.getMinutes(),
    now.getSeconds(),
  ];
  const timestamp = parts.map(part => String(part).padStart(2, '0')).join('_');
  const name = `..${timestamp}.${randomInt(2 ** 32)}`;
  await mkdir(join(volume, name));
  await chmod(join(volume, name), 0o755);
  return name;
}

function checkKey(key: string): void {
  if (!/^[-._a-zA-Z0-9]+$/.test(key) || key === '.' || key.startsWith('..'))
    throw new Error(`${JSON.stringify(key)} is no key of a Secret or ConfigMap`);
}

function whenMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
