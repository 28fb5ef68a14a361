import { join } from 'node:path';
import { readTextFile } from '../base/read-text-file.ts';
import { parseDockerConfigText } from '../docker-config/docker-config-text.ts';
import { type Entry, isSameCredential } from './entry.ts';
import type { Ownership } from './ownership.ts';
import { readDocument } from './source-document.ts';
import type { Source } from './sources.ts';
import { formOf } from './target-kind.ts';

/**
 * What the sources said when an agent last ran on this node, from the entries in the targets that are ours by the
 * record. So a restart while a Secret is missing or broken takes nothing away.
 */
export async function recoverSources(ownership: Ownership, hostRoot: string): Promise<readonly Source[]> {
  const bySource = new Map<string, Map<string, Entry>>();
  for (const path of ownership.targets) {
    for (const entry of await recoverEntries(ownership, path, hostRoot)) {
      const entries = bySource.get(entry.source) ?? new Map<string, Entry>();
      const known = entries.get(entry.registry);
      // Docker's file may say more than the kubelet's: it has the identity token, too.
      if (!known || (!isSameCredential(known, entry) && entry.identityToken))
        entries.set(entry.registry, entry);
      bySource.set(entry.source, entries);
    }
  }
  return [...bySource].map(([name, entries]) => ({
    name,
    state: 'kept' as const,
    entries: [...entries.values()],
    helpers: [],
    leftOut: [],
    problems: [],
  }));
}

async function recoverEntries(
  ownership: Ownership,
  path: string,
  hostRoot: string,
): Promise<readonly Entry[]> {
  // A target that cannot be read holds nothing that could be recovered; the look at it will say why.
  const text = await readTextFile(join(hostRoot, path)).catch(() => '');
  const values = parseDockerConfigText(text, formOf(path))?.entries ?? new Map<string, string>();
  const entries: Entry[] = [];
  for (const [registry, { source, digests }] of ownership.of(path).entries) {
    const value = values.get(registry);
    if (value === undefined || !digests.includes(ownership.digest(value))) continue;
    const reading = readDocument(`{${JSON.stringify(registry)}: ${value}}`, 'dockercfg', source);
    if (reading.ok) entries.push(...reading.entries);
  }
  return entries;
}
