import type { ListedImage } from '../config.ts';
import { type ImageReference, parseImageReference } from '../image-reference.ts';

/** What the variables in an image mean on this node. */
export type NodeFacts = {
  /** As Go and the registries name it: `amd64`, `arm64`. */
  readonly arch: string;
  readonly os: string;
  readonly nodeName: string;
};

/** An image that should be on the node. */
export type WantedImage = {
  /** As written in the config, with the variables replaced. */
  readonly image: string;
  readonly reference: ImageReference;
  readonly pullPolicy: 'IfNotPresent' | 'Always';
  readonly priority: number;
  readonly required: boolean;
  readonly pin: boolean;
};

/** An image of the list that can never be pulled, because it is no image reference; `problem` says where it stands. */
export type UnusableImage = { readonly image: string; readonly required: boolean; readonly problem: string };

/** The image list as work: what is wanted, highest priority first and then in list order, and what cannot be. */
export type ImageList = {
  readonly wanted: readonly WantedImage[];
  readonly unusable: readonly UnusableImage[];
  /** What the list says that its writer may not have meant: sentences for people. */
  readonly warnings: readonly string[];
};

/** Turns the images of the config into work. The same image listed twice is one, with the first one's settings. */
export function planImages(settings: readonly ListedImage[], node: NodeFacts): ImageList {
  const wanted = new Map<string, WantedImage>();
  const unusable: UnusableImage[] = [];
  const warnings: string[] = [];
  /** By the names that a runtime does not keep, because a digest stands beside the tag. */
  const lostTags = new Map<string, { readonly image: string; readonly setting: ListedImage }>();
  for (const setting of settings) {
    const image = replaceVariables(setting.image, node);
    const reference = parseImageReference(image);
    if (typeof reference === 'string') {
      const problem = `${reference} (${placeOf(setting)})`;
      unusable.push({ image, required: setting.required ?? true, problem });
      continue;
    }
    const one = wantedImage(image, reference, setting);
    const known = wanted.get(reference.name);
    if (!known) wanted.set(reference.name, one);
    else if (!isSameWish(known, one))
      warnings.push(`image ${image} is listed twice (${placeOf(setting)}); the settings of the first count`);
    const tagged = `${reference.repository}:${reference.tag}`;
    if (reference.digest && reference.tag && !lostTags.has(tagged)) lostTags.set(tagged, { image, setting });
  }
  for (const [name, { image, setting }] of lostTags)
    if (!wanted.has(name)) warnings.push(describeLostTag(name, image, setting));
  const sorted = [...wanted.values()].toSorted((a, b) => b.priority - a.priority);
  return { wanted: sorted, unusable, warnings };
}

function wantedImage(image: string, reference: ImageReference, setting: ListedImage): WantedImage {
  const pullPolicy = setting.pullPolicy ?? defaultPullPolicy(reference);
  const { priority = 0, required = true, pin = false } = setting;
  return { image, reference, pullPolicy, priority, required, pin };
}

function isSameWish(one: WantedImage, other: WantedImage): boolean {
  return (['pullPolicy', 'priority', 'required', 'pin'] as const).every(key => one[key] === other[key]);
}

function describeLostTag(name: string, image: string, setting: ListedImage): string {
  return `image ${image} has a tag and a digest (${placeOf(setting)}): a pod that says ${name} will not find it, because runtimes keep no tag for it; list what the pods say`;
}

function placeOf({ position: { line, column } }: ListedImage): string {
  return `line ${line}, column ${column} of the config`;
}

/**
 * Kubernetes' default: Always for the tag `latest`, also if it is only implied, else IfNotPresent.
 * https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting
 */
function defaultPullPolicy({ tag }: ImageReference): 'IfNotPresent' | 'Always' {
  return tag === 'latest' ? 'Always' : 'IfNotPresent';
}

function replaceVariables(image: string, { arch, os, nodeName }: NodeFacts): string {
  return image.replaceAll('$(ARCH)', arch).replaceAll('$(OS)', os).replaceAll('$(NODE_NAME)', nodeName);
}

/** The name that images use for a processor architecture, from Node.js' own. */
export function imageArchitecture(nodeArchitecture: string): string {
  const names: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };
  return names[nodeArchitecture] ?? nodeArchitecture;
}
