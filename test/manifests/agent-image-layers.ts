import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGzip } from 'node:zlib';
import type { Docker } from './agent-image-build.ts';

const run = promisify(execFile);

/** An image as it would be pushed. */
export type SavedImage = {
  readonly config: ImageConfig;
  /** The lowest first. */
  readonly layers: readonly SavedLayer[];
};

/** The configuration of an image, as far as it is looked at here. */
export type ImageConfig = {
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly WorkingDir: string;
    readonly ExposedPorts: Readonly<Record<string, object>>;
    readonly Labels: Readonly<Record<string, string>>;
  };
  readonly rootfs: { readonly diff_ids: readonly string[] };
  readonly history: readonly {
    readonly created_by?: string;
    readonly comment?: string;
    readonly empty_layer?: boolean;
  }[];
};

/** One layer of an image. */
export type SavedLayer = {
  /** The instruction that made it. */
  readonly madeBy: string;
  /** Its archive on this machine. */
  readonly file: string;
  readonly bytes: number;
  /** As it is pushed and pulled, with gzip. */
  readonly compressedBytes: number;
  /** What is in it, with a slash after directories. */
  readonly paths: readonly string[];
};

/** Saves an image into a directory, which is made, and takes it apart. */
export async function saveImage(docker: Docker, image: string, directory: string): Promise<SavedImage> {
  const archive = `${directory}.tar`;
  await docker('image', 'save', '--output', archive, image);
  await mkdir(directory);
  await run('tar', ['--extract', '--file', archive, '--directory', directory]);
  const [manifest] = await readJson(join(directory, 'manifest.json'));
  const config: ImageConfig = await readJson(join(directory, manifest.Config));
  const instructions = config.history.filter(({ empty_layer }) => empty_layer !== true);
  const layers = (manifest.Layers as readonly string[]).map((path, index) => {
    const { created_by, comment } = instructions[index] ?? {};
    return readLayer(join(directory, path), created_by || comment || 'unknown');
  });
  return { config, layers: await Promise.all(layers) };
}

/** What a file in a layer contains. */
export async function readFromLayer({ file }: SavedLayer, path: string): Promise<Buffer> {
  const options = { encoding: 'buffer', maxBuffer: 2 ** 24 } as const;
  return (await run('tar', ['--extract', '--to-stdout', '--file', file, path], options)).stdout;
}

/** A table of the layers' sizes, a line a layer, and their sum. */
export function sizeTable({ layers }: SavedImage): readonly string[] {
  const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);
  const total = {
    madeBy: 'all layers',
    bytes: sum(layers.map(({ bytes }) => bytes)),
    compressedBytes: sum(layers.map(({ compressedBytes }) => compressedBytes)),
  };
  const row = (...columns: readonly [string, string, string]) =>
    `${columns[0].padStart(12)} ${columns[1].padStart(12)}  ${columns[2]}`;
  const rows = [...layers, total].map(({ bytes, compressedBytes, madeBy }) =>
    row(bytes.toLocaleString('en'), compressedBytes.toLocaleString('en'), madeBy),
  );
  return [row('bytes', 'compressed', 'layer'), ...rows];
}

async function readLayer(file: string, madeBy: string): Promise<SavedLayer> {
  const { stdout } = await run('tar', ['--list', '--file', file]);
  return {
    madeBy,
    file,
    bytes: (await stat(file)).size,
    compressedBytes: await compressedSize(file),
    paths: stdout.split('\n').filter(path => path !== ''),
  };
}

async function compressedSize(file: string): Promise<number> {
  let size = 0;
  await pipeline(createReadStream(file), createGzip(), async chunks => {
    for await (const chunk of chunks) size += chunk.length;
  });
  return size;
}

async function readJson(file: string) {
  return JSON.parse(await readFile(file, 'utf8'));
}
