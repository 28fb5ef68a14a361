import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { cleanUp } from '../../sandbox/cleanup.ts';
import type { Layer } from '../../sandbox/image-layer.ts';
import { architecture } from '../../sandbox/images.ts';
import { type Answer, good, status } from '../registry-answers.ts';

/** An image of a registry, and how that answers for its manifest and its last layer. */
export type TaggedImage = {
  readonly layers: readonly Layer[];
  readonly manifest?: Answer;
  readonly lastLayer?: Answer;
};

/** Serves images by `REPOSITORY:TAG` on 127.0.0.1 until the test ends; several may have layers in common. Returns host and port. */
export async function serveImages(
  test: TestContext,
  images: Readonly<Record<string, TaggedImage>>,
): Promise<string> {
  const blobs = new Map<string, (response: ServerResponse) => void>();
  const manifests = new Map<string, (response: ServerResponse) => void>();
  for (const [name, { layers, manifest: manifestAnswer = good, lastLayer = good }] of Object.entries(
    images,
  )) {
    const config = jsonOf({
      os: 'linux',
      architecture,
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      config: { Labels: { name } },
    });
    blobs.set(digestOf(config), response => good(response, config));
    for (const layer of layers) {
      const answer = layer === layers.at(-1) ? lastLayer : good;
      blobs.set(layer.digest, response => answer(response, layer.content));
    }
    const manifest = manifestOf(config, layers);
    const answer = (response: ServerResponse) => {
      response.setHeader('content-type', mediaType('manifest'));
      response.setHeader('docker-content-digest', digestOf(manifest));
      manifestAnswer(response, manifest);
    };
    manifests.set(name, answer);
    manifests.set(`${name.split(':')[0]}:${digestOf(manifest)}`, answer);
  }
  const server = createServer(({ url = '' }, response) => {
    const {
      name,
      kind,
      id = '',
    } = /^\/v2\/(?<name>.+)\/(?<kind>manifests|blobs)\/(?<id>[^?]+)/.exec(url)?.groups ?? {};
    const answer = kind === 'blobs' ? blobs.get(id) : manifests.get(`${name}:${id}`);
    (answer ?? (response => status(404)(response, Buffer.alloc(0))))(response);
  });
  cleanUp(test, () => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The size of an image: its layers, its config a little. */
export function sizeOf({ layers }: TaggedImage): number {
  return layers.reduce((sum, { content }) => sum + content.length, 0);
}

/** Answers as `then` does, but only once it is let. */
export function held(then: Answer = good): { readonly answer: Answer; readonly release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    answer: (response, content) => void promise.then(() => then(response, content)),
    release: resolve,
  };
}

/** Sends half of it at once, and the rest only once it is let. */
export function halved(): { readonly answer: Answer; readonly release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const answer: Answer = (response, content) => {
    response.setHeader('content-length', content.length);
    response.write(content.subarray(0, content.length / 2));
    void promise.then(() => response.end(content.subarray(content.length / 2)));
  };
  return { answer, release: resolve };
}

function manifestOf(config: Buffer, layers: readonly Layer[]): Buffer {
  return jsonOf({
    schemaVersion: 2,
    mediaType: mediaType('manifest'),
    config: { mediaType: mediaType('config'), digest: digestOf(config), size: config.length },
    layers: layers.map(({ mediaType, digest, content }) => ({ mediaType, digest, size: content.length })),
  });
}

function mediaType(kind: 'manifest' | 'config'): string {
  return `application/vnd.oci.image.${kind}.v1+json`;
}

function jsonOf(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
