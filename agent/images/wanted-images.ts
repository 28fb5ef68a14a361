import type { ImageSetting } from '../config.ts';
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

/** An image of the list that can never be pulled, because it is no image reference. */
export type UnusableImage = { readonly image: string; readonly required: boolean; readonly problem: string };

/** The image list as work: what is wanted, highest priority first and then in list order, and what cannot be. */
export type ImageList = {
  readonly wanted: readonly WantedImage[];
  readonly unusable: readonly UnusableImage[];
};

/** Turns the images of the config into work. The same image listed twice is one, with the first one's settings. */
export function planImages(settings: readonly ImageSetting[], node: NodeFacts): ImageList {
  const wanted = new Map<string, WantedImage>();
  const unusable: UnusableImage[] = [];
  for (const setting of settings) {
    const image = replaceVariables(setting.image, node);
    const required = setting.required ?? true;
    const reference = parseImageReference(image);
    if (typeof reference === 'string') unusable.push({ image, required, problem: reference });
    else if (!wanted.has(reference.name)) {
      const pullPolicy = setting.pullPolicy ?? defaultPullPolicy(reference);
      const { priority = 0, pin = false } = setting;
      wanted.set(reference.name, { image, reference, pullPolicy, priority, required, pin });
    }
  }
  return { wanted: [...wanted.values()].toSorted((a, b) => b.priority - a.priority), unusable };
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
