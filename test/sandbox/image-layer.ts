import { createCipheriv, createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { pack } from 'tar-stream';

/** One layer of an image, ready to be uploaded. */
export type Layer = {
  readonly mediaType: string;
  readonly content: Buffer;
  readonly digest: string;
  /** The digest of the uncompressed tar archive. */
  readonly diffId: string;
};

/** What decides the bytes of a layer; `size` is the size of the one file in it. */
export type LayerRecipe = {
  readonly seed: string;
  readonly size: number;
  readonly compression: 'gzip' | 'none';
};

/** Makes a layer with one file of incompressible content; the same recipe always makes the same bytes. */
export async function makeLayer({ seed, size, compression }: LayerRecipe): Promise<Layer> {
  const archive = pack();
  const name = `data/${sha256(Buffer.from(seed)).slice(0, 12)}`;
  archive.entry({ name, mode: 0o644, mtime: new Date(0) }, keystream(seed, size));
  archive.finalize();
  const tar = await buffer(archive);
  // Level 0: gzip around what cannot be compressed anyway.
  const content = compression === 'gzip' ? await promisify(gzip)(tar, { level: 0 }) : tar;
  const suffix = compression === 'gzip' ? '+gzip' : '';
  return {
    mediaType: `application/vnd.oci.image.layer.v1.tar${suffix}`,
    content,
    digest: `sha256:${sha256(content)}`,
    diffId: `sha256:${sha256(tar)}`,
  };
}

/** A cipher over zeros is a fast generator of bytes that look random and depend on the seed alone. */
function keystream(seed: string, size: number): Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
