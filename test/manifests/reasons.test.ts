import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml';
import { manifests, variants } from './rendered.ts';

/** Lists of which every item, and settings of which every one, is an opening that needs a reason beside it. */
const listsWithReasons = ['volumes', 'volumeMounts', 'env', 'ports'];
const settingsWithReasons = [
  ...['securityContext', 'capabilities', 'allowPrivilegeEscalation', 'readOnlyRootFilesystem'],
  ...['seccompProfile', 'seLinuxOptions', 'runAsUser', 'automountServiceAccountToken', 'imagePullSecrets'],
  ...['priorityClassName', 'tolerations', 'nodeSelector', 'maxUnavailable', 'terminationGracePeriodSeconds'],
  ...['enableServiceLinks', 'dnsPolicy', 'requests', 'limits', 'startupProbe', 'readinessProbe'],
  'pod-security.kubernetes.io/enforce',
];

const files = globSync('{base,variants/*}/*.yaml', { cwd: manifests }).toSorted();

describe('the reasons in the manifests', { timeout: 30_000 }, () => {
  it('are looked for in the base and in every variant', () => {
    const directories = new Set(files.map(file => join(manifests, dirname(file))));
    assert.deepEqual([...directories].toSorted(), [join(manifests, 'base'), ...variants].toSorted());
  });

  for (const file of files) {
    it(`${file} says why each permission, mount and limit is there`, async () => {
      assert.deepEqual(withoutReason(await readFile(join(manifests, file), 'utf8')), []);
    });
  }

  it('a mount or permission without one would be found', () => {
    const text =
      'spec:\n  volumes:\n    # good\n    - name: a\n    - name: b\n  securityContext:\n    # good\n    runAsUser: 0\n';
    assert.deepEqual(withoutReason(text), ['line 5: an item of volumes', 'line 6: securityContext']);
  });
});

/** Every place of a YAML text that has no comment directly above it. */
function withoutReason(text: string): readonly string[] {
  const lineCounter = new LineCounter();
  const lines = text.split('\n');
  const found: string[] = [];

  const expectComment = (node: Node, what: string): void => {
    const { line } = lineCounter.linePos(node.range?.[0] ?? 0);
    if (!/^\s*#/.test(lines[line - 2] ?? '')) found.push(`line ${line}: ${what}`);
  };

  visit(parseDocument(text, { lineCounter }), {
    Pair(_, { key, value }) {
      if (!isScalar(key)) return;
      const name = String(key.value);
      if (isSeq(value) && listsWithReasons.includes(name)) {
        for (const item of value.items) if (isMap(item)) expectComment(item, `an item of ${name}`);
      } else if (settingsWithReasons.includes(name)) expectComment(key, name);
    },
  });
  return found;
}
