import { randomBytes } from 'node:crypto';
import { dockerConfigJson, type RegistryLogin } from '../test/sandbox/docker-config.ts';
import { updateKubeletVolume } from '../test/sandbox/kubelet-volume.ts';

/** A document with so many entries, all of them new, and the `auth` of the first one, by which it is recognised. */
export type SecretDocument = { readonly text: string; readonly auth: string };

/** Makes a document of so many entries with passwords of `passwordLength` characters that were never there before. */
export function makeDocument(entries: number, passwordLength = 32): SecretDocument {
  const logins = Array.from({ length: entries }, (_, index): RegistryLogin => {
    const registry = `registry-${String(index).padStart(4, '0')}.example.com`;
    const password = randomBytes(Math.ceil(passwordLength / 2))
      .toString('hex')
      .slice(0, passwordLength);
    return { registry, user: 'user', password };
  });
  const text = dockerConfigJson(...logins);
  const auth = /"auth":"([^"]+)"/.exec(text)?.[1] ?? '';
  return { text, auth };
}

/** Swaps new credentials in, as the kubelet does. */
export async function setSecret(volume: string, entries: number): Promise<void> {
  await setDocument(volume, makeDocument(entries).text);
}

/** Swaps this document in, as the kubelet does. */
export async function setDocument(volume: string, text: string): Promise<void> {
  await updateKubeletVolume(volume, { '.dockerconfigjson': text });
}
