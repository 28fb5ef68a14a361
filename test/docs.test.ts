import assert from 'node:assert/strict';
import { access, cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '../agent/config.ts';
import { version } from '../agent/version.ts';
import { agentPod, configText, manifests, render } from './manifests/rendered.ts';
import { actions } from './sandbox/actions.ts';
import { temporaryDirectory } from './sandbox/temporary.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFile(join(project, path), 'utf8');

describe('the documents', { timeout: 60_000 }, () => {
  it('show configs that the agent takes', async () => {
    let examples = 0;
    for (const path of await documents()) {
      for (const text of codeBlocks(await read(path), 'yaml').filter(block => !isKustomization(block))) {
        examples++;
        assert.ok(parseConfig(text).ok, `${path}: ${text}`);
      }
    }
    assert.ok(examples > 1);
  });

  it('name commands of npm and of the sandbox that exist', async () => {
    const { scripts } = JSON.parse(await read('package.json'));
    for (const path of await documents()) {
      const text = await read(path);
      for (const [, name = ''] of text.matchAll(/\bnpm (?:run )?(start|test|(?<=run )[\w-]+)\b/g))
        assert.ok(scripts[name], `${path}: npm run ${name}`);
    }
    const tried = (await read('README.md')).matchAll(/^npm run try -- (\S+)$/gm);
    assert.deepEqual(
      [...tried].map(([, action]) => action),
      Object.keys(actions),
    );
  });

  it('have links that lead somewhere, also to headings', async () => {
    for (const path of await documents()) {
      const text = (await read(path)).replace(/```[\s\S]*?```/g, '');
      for (const [, link = ''] of text.matchAll(/\]\(\s*(?!https?:)([^)]+)\)/g)) {
        const [file = '', heading] = link.trim().split('#');
        const target = file === '' ? path : join(dirname(path), file);
        await access(join(project, target));
        if (heading !== undefined)
          assert.ok(headings(await read(target)).includes(heading), `${path}: ${link}`);
      }
    }
  });

  it('name files and folders of the project that are there', async () => {
    let named = 0;
    for (const path of await documents()) {
      const paths = (await read(path)).matchAll(
        /(?<![\w/.-])((?:agent|test|manifests|docs|\.ci)\/[\w./-]*[\w/])/g,
      );
      // What stands before it may be a folder of somebody else's, as in an overlay.
      for (const [, file = ''] of paths) {
        named++;
        await assert.doesNotReject(access(join(project, file)), `${path} names ${file}`);
      }
    }
    assert.ok(named > 20);
  });

  it('are all reached from the README', async () => {
    const text = await read('README.md');
    for (const path of await documents())
      if (path !== 'README.md') assert.ok(text.includes(`](${path})`), path);
  });

  it('have lines that fit an editor, tables aside', async () => {
    for (const path of await documents())
      for (const line of (await read(path)).split('\n'))
        assert.ok(line.length <= 120 || line.startsWith('|'), `${path}: ${line}`);
  });
});

describe('the README', { timeout: 60_000 }, () => {
  it('shows an overlay that names the image and brings the list, and installs what it says', async test => {
    const readme = await read('README.md');
    const directory = await temporaryDirectory(test);
    await cp(manifests, join(directory, 'pullready/manifests'), { recursive: true });
    const [overlay = ''] = codeBlocks(readme, 'yaml').filter(isKustomization);
    const [config = ''] = codeBlocks(readme, 'yaml').filter(
      block => block.includes('images:') && !isKustomization(block),
    );
    await writeFile(join(directory, 'kustomization.yaml'), overlay);
    await writeFile(join(directory, 'config.yaml'), config);

    const objects = await render(directory);
    const { container, pod, daemonSet } = agentPod(objects);

    const [, built] = /docker push (\S+)/.exec(readme) ?? [];
    assert.equal(container.image, built);
    assert.equal(configText(objects), config);
    const secrets = pod.volumes?.flatMap(({ secret }) => (secret ? [secret.secretName] : []));
    const [, created] = /create secret docker-registry (\S+)/.exec(readme) ?? [];
    assert.deepEqual(secrets, [created]);
    const { name, namespace } = daemonSet.metadata ?? {};
    assert.ok(readme.includes(`kubectl -n ${namespace} rollout status daemonset/${name} --timeout=`));
  });

  it('lists every directory that can be applied', async () => {
    const variants = (await readdir(join(manifests, 'variants'))).map(name => `manifests/variants/${name}`);
    const rows = (await read('README.md')).matchAll(/^\| `(manifests[^`]*)` \|/gm);
    assert.deepEqual([...rows].map(([, row]) => row).toSorted(), ['manifests', ...variants].toSorted());
  });
});

describe('ARCHITECTURE', { timeout: 30_000 }, () => {
  it('names every room, and in its row no file that is not there', async () => {
    const text = await read('ARCHITECTURE.md');
    for (const entry of await readdir(join(project, 'agent'), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name).slice(project.length);
      if (entry.isDirectory()) assert.ok(text.includes(`\`${path}/\``), path);
      else if (dirname(path) === 'agent') assert.ok(text.includes(`\`${path}\``), path);
    }
    for (const [, room = '', what = ''] of text.matchAll(/^\| `(agent\/[a-z]+\/)` \| (.*) \|$/gm))
      for (const [, file = ''] of what.matchAll(/`([a-z-]+\.ts)`/g)) await access(join(project, room, file));
  });
});

describe('the version', { timeout: 60_000 }, () => {
  it('is the same in package.json, its lock, the agent, the manifests, the Dockerfile and the documents', async () => {
    const { container } = agentPod(await render(manifests));
    const lock = JSON.parse(await read('package-lock.json'));
    const escaped = version.replaceAll('.', '\\.');

    assert.equal(JSON.parse(await read('package.json')).version, version);
    assert.deepEqual([lock.version, lock.packages[''].version], [version, version]);
    assert.equal(container.image, `pullready:${version}`);
    assert.match(await read('Dockerfile'), new RegExp(`^ARG VERSION=${escaped}$`, 'm'));
    assert.equal(/^## ([\d.]+)/m.exec(await read('CHANGELOG.md'))?.[1], version);
    for (const [, tag] of (await read('README.md')).matchAll(/\bpullready:(\d[\w.-]*\w)/g))
      assert.equal(tag, version);
  });
});

/** Every document, by its path in the project. */
async function documents(): Promise<readonly string[]> {
  const inDocs = (await readdir(join(project, 'docs'))).map(name => join('docs', name));
  return [...(await readdir(project)).filter(name => name.endsWith('.md')), ...inDocs];
}

/** The code blocks in `language`, without the indentation that they have in a list. */
function codeBlocks(text: string, language: string): readonly string[] {
  const blocks = text.matchAll(new RegExp(`^( *)\`\`\`${language}\\n([\\s\\S]*?)^ *\`\`\`$`, 'gm'));
  return [...blocks].map(([, indent = '', block = '']) =>
    block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  );
}

function isKustomization(block: string): boolean {
  return block.includes('kind: Kustomization');
}

/** The names by which headings are linked to. */
function headings(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );
}
