/** What a pull fetches: the blobs of an image, or the manifests that an index lists for its platforms. */
export type ImageManifest = {
  readonly blobs: readonly ManifestBlob[];
  /** The digests of the manifests, if it is an index. */
  readonly children: readonly string[];
};

/** A blob by its digest, with its size in bytes. */
export type ManifestBlob = { readonly digest: string; readonly size: number };

/**
 * Reads a manifest or an index; undefined for everything else.
 * https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md and image-index.md
 */
export function parseImageManifest(text: string): ImageManifest | undefined {
  try {
    const { config, layers, manifests } = JSON.parse(text) as Record<string, unknown>;
    const blobs = config && Array.isArray(layers) ? unique([config, ...layers].map(toBlob)) : [];
    const children = Array.isArray(manifests) ? manifests.map(child => toBlob(child).digest) : [];
    return blobs.length > 0 || children.length > 0 ? { blobs, children } : undefined;
  } catch {
    return undefined;
  }
}

function toBlob(descriptor: { digest?: unknown; size?: unknown }): ManifestBlob {
  return { digest: String(descriptor.digest), size: Number(descriptor.size) || 0 };
}

/** An image may have the same layer twice; it is fetched once. */
function unique(blobs: readonly ManifestBlob[]): readonly ManifestBlob[] {
  return [...new Map(blobs.map(blob => [blob.digest, blob])).values()];
}
