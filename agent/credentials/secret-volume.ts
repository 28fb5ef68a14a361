import { readdir, readlink, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { codeOf } from '../base/failure.ts';
import { fileFailure } from '../base/file-failure.ts';
import { readTextFile } from '../base/read-text-file.ts';
import type { DockerConfigForm } from '../docker-config/docker-config-text.ts';

/** The keys of a Secret that hold credentials, in the order in which they are looked for; the first one is read. */
const documentForms: ReadonlyMap<string, DockerConfigForm> = new Map([
  ['.dockerconfigjson', 'dockerconfigjson'],
  ['.dockercfg', 'dockercfg'],
  ['config.json', 'dockerconfigjson'],
]);

/** The document of one mounted Secret as it is now. */
export type SecretContent =
  | {
      readonly kind: 'document';
      readonly file: string;
      readonly form: DockerConfigForm;
      readonly text: string;
    }
  /** The directory is there, without a document: an optional Secret that does not exist. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'unreadable'; readonly problem: string };

/** All mounted Secrets by name, or why the directory that holds them cannot be looked at. */
export type SecretVolumes =
  | {
      readonly ok: true;
      readonly volumes: ReadonlyMap<string, SecretContent>;
      /** The name of the directory, which is that of the Secret if it is itself one. */
      readonly itself: string;
    }
  | { readonly ok: false; readonly problem: string };

/**
 * Reads every Secret mounted at `directory`: each of its subdirectories is one, or it is itself one. A Secret whose
 * directory is gone is not in the answer.
 */
export async function readSecretVolumes(directory: string): Promise<SecretVolumes> {
  const tried = `reading the secrets directory ${directory}`;
  try {
    const itself = basename(directory);
    const names = await readdir(directory);
    const volumes = new Map<string, SecretContent>();
    for (const name of names.sort()) {
      const path = join(directory, name);
      if (!name.startsWith('..') && (await isDirectory(path))) volumes.set(name, await readSecret(path));
    }
    // A Secret has no directories: where there are some, a document beside them is a stray one, and revokes nothing.
    if (volumes.size === 0 && names.some(name => name === '..data' || documentForms.has(name)))
      volumes.set(itself, await readSecret(directory));
    return { ok: true, itself, volumes };
  } catch (error) {
    return { ok: false, problem: fileFailure(tried, error).message };
  }
}

/**
 * Reads one mounted Secret. The kubelet replaces the content by renaming a link (`..data`) to a new directory and
 * removes the old one, so what is read counts only if the link is still the same afterwards.
 * https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/volume/util/atomic_writer.go
 */
async function readSecret(directory: string): Promise<SecretContent> {
  // A link that moves under every one of so many reads is no kubelet's doing; the next look tries again.
  for (let attempt = 0; attempt < 20; attempt++) {
    const before = await currentGeneration(directory);
    const content = await readGeneration(before === undefined ? directory : join(directory, before));
    if ((await currentGeneration(directory)) === before) return content;
  }
  return { kind: 'unreadable', problem: `${directory} changes faster than it can be read` };
}

async function readGeneration(directory: string): Promise<SecretContent> {
  for (const [file, form] of documentForms) {
    const path = join(directory, file);
    try {
      return { kind: 'document', file, form, text: await readTextFile(path) };
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') {
        return { kind: 'unreadable', problem: fileFailure(`reading ${path}`, error).message };
      }
    }
  }
  return { kind: 'empty' };
}

/** The name that `..data` points to; undefined in a plain directory. */
async function currentGeneration(directory: string): Promise<string | undefined> {
  return readlink(join(directory, '..data')).catch(() => undefined);
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    // A link that leads nowhere, or a directory that was removed just now: no mounted Secret either way. Any other
    // error tells nothing about the Secret, and so must not pass for its revocation.
    if (['ENOENT', 'ELOOP'].includes(codeOf(error) ?? '')) return false;
    throw error;
  }
}
