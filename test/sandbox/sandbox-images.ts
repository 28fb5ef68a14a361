import { architecture, type ImageRecipe, type PublishedImage } from './images.ts';

const kib = 1024;
const mib = 1024 * kib;

/** An image of the sandbox and how its config lists it. */
export type SandboxImage = ImageRecipe & {
  /** What the config says beside the name. */
  readonly options?: { readonly priority?: number; readonly required?: boolean };
  /** How the config names it, if not by its tag. */
  readonly nameInConfig?: (image: PublishedImage) => string;
};

/** What the sandbox's registry holds and its config lists at first: from a few KB to 100 MB. */
export const sandboxImages: readonly SandboxImage[] = [
  { repository: 'team-a/hello', tag: '1.0', layers: [2 * kib, kib] },
  { repository: 'team-a/config-reloader', tag: 'v0.4.1', layers: [200 * kib, 90 * kib, 4 * kib] },
  {
    repository: 'team-a/api',
    tag: 'v2.3.1',
    layers: [6 * mib, 3 * mib, 700 * kib, 12 * kib],
    options: { priority: 10 },
  },
  {
    repository: 'team-a/worker',
    tag: 'v2.3.1',
    layers: [8 * mib, 2 * mib, 30 * kib],
    nameInConfig: ({ reference, digest }) => reference.replace(':v2.3.1', `@${digest}`),
  },
  { repository: 'team-a/web', tag: 'v5', layers: [3 * mib, 5 * mib, 64 * kib] },
  {
    repository: 'team-a/model',
    tag: '2026-01',
    layers: [40 * mib, 25 * mib, 20 * mib, 10 * mib, 5 * mib],
    options: { priority: -5, required: false },
  },
  {
    repository: `tools/pause-${architecture}`,
    tag: '3.9',
    layers: [300 * kib, 2 * kib],
    nameInConfig: ({ reference }) => reference.replace(`pause-${architecture}`, 'pause-$(ARCH)'),
  },
  {
    repository: 'tools/proxy',
    tag: 'v1.30',
    layers: [2 * mib, 500 * kib],
    platforms: ['linux/amd64', 'linux/arm64', 'linux/arm/v7'],
    options: { priority: 5 },
  },
  { repository: 'team-b/billing', tag: 'v7', layers: [4 * mib, mib, 16 * kib] },
  {
    repository: 'team-b/ledger',
    tag: 'v1.12',
    layers: [12 * mib, 6 * mib, 100 * kib],
    options: { priority: 1 },
  },
];

/** In the registry but not in the config, for seeing what happens when the list grows. */
export const extraImage: SandboxImage = {
  repository: 'team-a/report',
  tag: 'v0.9',
  layers: [5 * mib, 2 * mib],
};
