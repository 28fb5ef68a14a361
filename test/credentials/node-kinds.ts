import type { FileTree } from './file-tree.ts';
import { withoutChance } from './traced-steps.ts';

/** A node before its first agent. */
export type NodeKind = {
  readonly name: string;
  readonly path: string;
  readonly original: FileTree;
  /** What is somebody else's once ours is in the file. */
  readonly theirs: {
    readonly foreign: number;
    readonly displaced: readonly string[];
    readonly setAside: readonly string[];
  };
};

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const folder = { kind: 'directory', mode: 0o755, ...owner, content: '' } as const;
const file = { kind: 'file', mode: 0o644, ...owner } as const;
const docker = '/root/.docker/config.json';
const nobody = { foreign: 0, displaced: [], setAside: [] };

/** The nodes that agents come to. */
export const nodeKinds: readonly NodeKind[] = [
  { name: 'no file and no directory', path: docker, original: { host: folder }, theirs: nobody },
  {
    name: 'a file of somebody else, with an entry like ours and a malformed one',
    path: '/var/lib/kubelet/config.json',
    original: {
      host: folder,
      'host/var': folder,
      'host/var/lib': folder,
      'host/var/lib/kubelet': { ...folder, mode: 0o700 },
      'host/var/lib/kubelet/config.json': {
        ...file,
        mode: 0o640,
        uid: 1_000,
        gid: 1_001,
        content: '{ "credHelpers": {"x.io": "x"}, "auths": {"a.io": {"auth":"eDp5"}, "c.io": {}, "d.io": 3}}',
      },
    },
    theirs: { foreign: 1, displaced: ['a.io'], setAside: ['d.io'] },
  },
  {
    name: 'a file that is no docker config',
    path: docker,
    original: {
      host: folder,
      'host/root': folder,
      'host/root/.docker': folder,
      'host/root/.docker/config.json': { ...file, content: '\xff\xfe\x00{"auths": \xc3' },
    },
    theirs: nobody,
  },
  {
    name: 'a file in the legacy form',
    path: '/root/.dockercfg',
    original: {
      host: folder,
      'host/root': folder,
      'host/root/.dockercfg': { ...file, content: '{"c.io":{"auth":"eDp5"}}' },
    },
    theirs: { ...nobody, foreign: 1 },
  },
  {
    name: 'a link to a file beside it',
    path: docker,
    original: {
      host: folder,
      'host/root': folder,
      'host/root/.docker': folder,
      'host/root/.docker/config.json': { ...file, kind: 'link', mode: 0o777, content: 'real.json' },
      'host/root/.docker/real.json': { ...file, content: '{"auths": {"c.io": {"auth": "eDp5"}}}' },
    },
    theirs: { ...nobody, foreign: 1 },
  },
];

/** The part of a tree that is the node's own. */
export function hostOf(tree: FileTree): FileTree {
  return Object.fromEntries(Object.entries(tree).filter(([path]) => /^host(\/|$)/.test(path)));
}

/** The paths of a tree, without what is random in them. */
export function namesIn(tree: FileTree): readonly string[] {
  return Object.keys(tree).map(withoutChance);
}
