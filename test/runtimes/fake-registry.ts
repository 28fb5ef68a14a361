import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { cleanUp } from '../sandbox/cleanup.ts';
import { type Layer, makeLayer } from '../sandbox/image-layer.ts';
import { architecture } from '../sandbox/images.ts';
import { temporaryDirectory } from '../sandbox/temporary.ts';
import { type Answer, good, status } from './registry-answers.ts';

/** What is wrong with a repository, if anything. It has one image, with one layer, under every tag. */
export type FakeRepository = {
  readonly manifest?: Answer;
  readonly layer?: Answer;
  /** Whoever comes without a token is sent to a token service that answers this; the registry has no other repository. */
  readonly token?: Answer;
  /** Whoever comes without a password is asked for one; any will do. */
  readonly asksForPassword?: true;
  /** The layer is fetched from a storage service, by a signed URL, that answers this. */
  readonly storage?: Answer;
  /** The layer; 10 kB that no other repository has if it is not given. */
  readonly content?: Layer;
};

/** A registry that does what a real one does not do when it is asked to. */
export type FakeRegistry = {
  readonly port: number;
  /** What was asked of it: `HEAD /v2/app/manifests/v1`. */
  readonly requests: readonly string[];
};

/** What stands in every signed URL. */
export const signature = 'c2lnbmF0dXJl';

/** Serves the repositories on 127.0.0.1 until the test ends; with TLS if a name for the certificate is given. */
export async function serveRegistry(
  test: TestContext,
  repositories: Readonly<Record<string, FakeRepository>>,
  tlsName?: string,
): Promise<FakeRegistry> {
  const requests: string[] = [];
  const contents = new Map<string, Layer>();
  for (const [name, { content }] of Object.entries(repositories))
    contents.set(name, content ?? (await makeLayer({ seed: name, size: 10_000, compression: 'gzip' })));
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    requests.push(`${request.method} ${request.url}`);
    const asked = readRequest(request);
    const [repository, layer] = [repositories[asked.name], contents.get(asked.name)];
    if (asked.part === 'version') welcome(asked, response, repositories);
    else if (repository && layer) answer(asked, response, repository, layer);
    else status(404)(response, Buffer.alloc(0));
  };
  const server =
    tlsName === undefined
      ? createServer(listener)
      : createTlsServer(await selfSigned(await temporaryDirectory(test), tlsName), listener);
  cleanUp(test, () => close(server));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, requests };
}

type Asked = {
  readonly part: 'version' | 'token' | 'storage' | 'manifests' | 'blobs' | 'nothing';
  /** The repository. */
  readonly name: string;
  /** The tag or the digest. */
  readonly id: string;
  readonly hasToken: boolean;
  /** The address of this server. */
  readonly base: string;
};

const paths =
  /^\/(?:v2\/(?<name>.+)\/(?<part>manifests|blobs)\/(?<id>[^?]+)|(?<part>token|storage)\/(?<name>[^?]+))/;

function readRequest({ url = '', headers, socket }: IncomingMessage): Asked {
  const { part = url === '/v2/' ? 'version' : 'nothing', name = '', id = '' } = paths.exec(url)?.groups ?? {};
  const base = `${'encrypted' in socket ? 'https' : 'http'}://${headers.host}`;
  return { part: part as Asked['part'], name, id, hasToken: headers.authorization !== undefined, base };
}

/** What runtimes other than containerd ask first: whether this is a registry, and what it wants to see. */
function welcome(
  asked: Asked,
  response: ServerResponse,
  repositories: Readonly<Record<string, FakeRepository>>,
): void {
  const [name] = Object.keys(repositories).filter(name => repositories[name]?.token);
  const asksForPassword = Object.values(repositories).some(repository => repository.asksForPassword);
  if (asksForPassword && !asked.hasToken) askForPassword(response, Buffer.alloc(0));
  else if (name === undefined || asked.hasToken) good(response, Buffer.alloc(0));
  else askForToken({ ...asked, name })(response, Buffer.alloc(0));
}

function answer(asked: Asked, response: ServerResponse, repository: FakeRepository, layer: Layer): void {
  const { manifest = good, layer: layerAnswer = good, token = good, storage } = repository;
  const { part, id } = asked;
  const nothing = Buffer.alloc(0);
  if (part === 'token') token(response, nothing);
  else if (part === 'storage') storage?.(response, layer.content);
  else if (repository.token && !asked.hasToken) askForToken(asked)(response, nothing);
  else if (repository.asksForPassword && !asked.hasToken) askForPassword(response, nothing);
  else if (part === 'manifests') {
    response.setHeader('content-type', mediaTypes.manifest);
    response.setHeader('docker-content-digest', digestOf(manifestOf(layer)));
    manifest(response, manifestOf(layer));
  } else if (id !== layer.digest) good(response, configOf(layer));
  else if (storage) sendToStorage(asked)(response, nothing);
  else layerAnswer(response, layer.content);
}

const askForPassword = status(401, { 'www-authenticate': 'Basic realm="fake"' });

function askForToken({ base, name }: Asked): Answer {
  const challenge = `Bearer realm="${base}/token/${name}",service="fake",scope="repository:${name}:pull"`;
  return status(401, { 'www-authenticate': challenge });
}

function sendToStorage({ base, name }: Asked): Answer {
  return status(307, { location: `${base}/storage/${name}?X-Amz-Expires=600&X-Amz-Signature=${signature}` });
}

const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
} as const;

function manifestOf(layer: Layer): Buffer {
  const config = configOf(layer);
  return jsonOf({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: { mediaType: mediaTypes.config, digest: digestOf(config), size: config.length },
    layers: [{ mediaType: layer.mediaType, digest: layer.digest, size: layer.content.length }],
  });
}

function configOf({ diffId }: Layer): Buffer {
  return jsonOf({ os: 'linux', architecture, rootfs: { type: 'layers', diff_ids: [diffId] } });
}

function jsonOf(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

/** A certificate for the name that nobody trusts. */
async function selfSigned(directory: string, name: string) {
  const [key, cert] = [join(directory, 'key'), join(directory, 'cert')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
  await promisify(execFile)('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert]);
  return { key: await readFile(key), cert: await readFile(cert) };
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}
