import { createHash } from 'node:crypto';
import { type Layer, makeLayer } from './image-layer.ts';
import type { Registry } from './registry.ts';

/** An image to make: its name in the registry and the sizes of its layers in bytes. */
export type ImageRecipe = {
  readonly repository: string;
  readonly tag: string;
  readonly layers: readonly number[];
  /** `OS/ARCHITECTURE[/VARIANT]`; more than one makes an index. Not given: an image for this machine. */
  readonly platforms?: readonly string[];
};

/** An image that is in the registry. */
export type PublishedImage = {
  /** `HOST/REPOSITORY:TAG`. */
  readonly reference: string;
  readonly repository: string;
  /** The digest of its manifest or index. */
  readonly digest: string;
  /** The bytes of its layers, of one platform. */
  readonly bytes: number;
  /** False if the same image was in the registry already. */
  readonly isNew: boolean;
};

type Descriptor = { readonly mediaType: string; readonly digest: string; readonly size: number };

/** The architecture of this machine as images name it. */
export const architecture = { x64: 'amd64', ia32: '386' }[process.arch as string] ?? process.arch;

const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
} as const;

// Increase it when the same recipe makes other content than before.
const generation = 1;
const recipeAnnotation = 'pullready.sandbox.recipe';

/**
 * Makes an image and puts it into the registry, unless the same one is there: same recipe, same bytes, same digest, on
 * every machine. The content cannot be compressed, so that sizes are what the recipe says.
 */
export async function publishImage(registry: Registry, recipe: ImageRecipe): Promise<PublishedImage> {
  const { repository, tag, layers } = recipe;
  const mark = createHash('sha256')
    .update(JSON.stringify([generation, recipe, architecture]))
    .digest('hex');
  const published = await publishedDigest(registry, recipe, mark);
  return {
    reference: `${registry.host}/${repository}:${tag}`,
    repository,
    digest: published ?? (await publishNew(registry, recipe, { [recipeAnnotation]: mark })),
    bytes: layers.reduce((sum, size) => sum + size, 0),
    isNew: published === undefined,
  };
}

async function publishedDigest(
  registry: Registry,
  { repository, tag }: ImageRecipe,
  mark: string,
): Promise<string | undefined> {
  const accept = `${mediaTypes.index}, ${mediaTypes.manifest}`;
  const response = await registry.publish(repository, `manifests/${tag}`, { headers: { accept } });
  if (response.status === 404) return undefined;
  const manifest = (await expectStatus(response, 200).json()) as { annotations?: Record<string, string> };
  if (manifest.annotations?.[recipeAnnotation] !== mark) return undefined;
  return response.headers.get('docker-content-digest') ?? undefined;
}

async function publishNew(
  registry: Registry,
  recipe: ImageRecipe,
  annotations: Record<string, string>,
): Promise<string> {
  const platforms = recipe.platforms ?? [`linux/${architecture}`];
  const [only] = platforms;
  if (platforms.length === 1 && only !== undefined)
    return (await publishManifest(registry, recipe, only, annotations, recipe.tag)).digest;

  const manifests = [];
  for (const platform of platforms) {
    const descriptor = await publishManifest(registry, recipe, platform, {}, undefined);
    manifests.push({ ...descriptor, platform: readPlatform(platform) });
  }
  const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests, annotations };
  return (await putManifest(registry, recipe.repository, index, recipe.tag)).digest;
}

/** Publishes the image of one platform, by its tag, or by its digest if there is none. */
async function publishManifest(
  registry: Registry,
  { repository, layers: sizes, tag: name }: ImageRecipe,
  platform: string,
  annotations: Record<string, string>,
  tag: string | undefined,
): Promise<Descriptor> {
  const layers: Layer[] = [];
  for (const [index, size] of sizes.entries()) {
    // Gzip as most images are, and now and then plain tar, which is allowed too.
    const compression = index % 3 === 2 ? 'none' : 'gzip';
    const layer = await makeLayer({ seed: `${repository}:${name} ${platform} ${index}`, size, compression });
    await putBlob(registry, repository, layer.digest, layer.content);
    layers.push(layer);
  }
  const config = Buffer.from(JSON.stringify(imageConfig(platform, layers)));
  const configDescriptor = { mediaType: mediaTypes.config, digest: digestOf(config), size: config.length };
  await putBlob(registry, repository, configDescriptor.digest, config);
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: configDescriptor,
    layers: layers.map(({ mediaType, digest, content }) => ({ mediaType, digest, size: content.length })),
    annotations,
  };
  return await putManifest(registry, repository, manifest, tag);
}

function imageConfig(platform: string, layers: readonly Layer[]): object {
  return {
    ...readPlatform(platform),
    created: '2026-01-01T00:00:00Z',
    config: { Cmd: ['/bin/true'] },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map((_, index) => ({ created: '2026-01-01T00:00:00Z', created_by: `layer ${index}` })),
  };
}

function readPlatform(platform: string): { os: string; architecture: string; variant?: string } {
  const [os = '', architecture = '', variant] = platform.split('/');
  return variant === undefined ? { os, architecture } : { os, architecture, variant };
}

async function putBlob(
  registry: Registry,
  repository: string,
  digest: string,
  content: Buffer,
): Promise<void> {
  const known = await registry.publish(repository, `blobs/${digest}`, { method: 'HEAD' });
  if (known.status === 200) return;
  const upload = await registry.publish(repository, 'blobs/uploads/', { method: 'POST' });
  const location = expectStatus(upload, 202).headers.get('location');
  if (location === null) throw new Error(`the registry gave no place to upload ${digest} to`);
  const place = new URL(location, upload.url);
  place.searchParams.set('digest', digest);
  const headers = { 'content-type': 'application/octet-stream' };
  expectStatus(
    await registry.publish(repository, place.href, { method: 'PUT', headers, body: new Uint8Array(content) }),
    201,
  );
}

async function putManifest(
  registry: Registry,
  repository: string,
  manifest: { readonly mediaType: string },
  tag: string | undefined,
): Promise<Descriptor> {
  const body = Buffer.from(JSON.stringify(manifest));
  const { mediaType } = manifest;
  const digest = digestOf(body);
  const headers = { 'content-type': mediaType };
  const path = `manifests/${tag ?? digest}`;
  expectStatus(
    await registry.publish(repository, path, { method: 'PUT', headers, body: new Uint8Array(body) }),
    201,
  );
  return { mediaType, digest, size: body.length };
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

function expectStatus(response: Response, status: number): Response {
  if (response.status !== status)
    throw new Error(`the registry answered ${response.status}, not ${status}, to ${response.url}`);
  return response;
}
