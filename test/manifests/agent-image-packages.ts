import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { cleanUp } from '../sandbox/cleanup.ts';

/** A package of package-lock.json. */
type LockedPackage = { readonly version: string; readonly integrity?: string };

/** A registry of npm packages on the loopback interface. */
export type PackageRegistry = {
  readonly url: string;
  /** What was asked for and is not in npm's cache, as `NAME-VERSION.tgz`. */
  readonly missing: readonly string[];
};

/**
 * Serves the packages of a project's package-lock.json during a test, as npm downloaded them when it installed the
 * project: byte for byte, because npm holds them against the lock file.
 */
export async function servePackages(test: TestContext, project: string): Promise<PackageRegistry> {
  const packages = await lockedPackages(project);
  const cache = (
    await promisify(execFile)('npm', ['config', 'get', 'cache'], { cwd: project })
  ).stdout.trim();
  const missing: string[] = [];
  const server = http.createServer(async (request, response) => {
    const [name = '', file] = decodeURIComponent(request.url ?? '')
      .slice(1)
      .split('/-/');
    const locked = packages.get(name) ?? [];
    if (file === undefined) return response.end(JSON.stringify(packument(name, locked, url)));
    const found = locked.find(({ version }) => file === fileName(name, version));
    const tarball = found && (await readFile(join(cache, contentPath(found))).catch(() => undefined));
    if (tarball === undefined) missing.push(file);
    return response.writeHead(tarball ? 200 : 404).end(tarball);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(test, () => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, missing };
}

/** The versions of every package, by its name; one that lies in several places is there several times. */
async function lockedPackages(project: string): Promise<ReadonlyMap<string, readonly LockedPackage[]>> {
  const lock = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8'));
  const packages = Object.entries<LockedPackage>(lock.packages).filter(([path]) => path !== '');
  const nameAt = ([path]: [string, LockedPackage]) => path.split('node_modules/').at(-1) ?? '';
  const groups = Object.entries(Object.groupBy(packages, nameAt));
  return new Map(groups.map(([name, entries = []]) => [name, entries.map(([, locked]) => locked)]));
}

/** What a registry knows of a package, as far as `npm ci` asks for it. */
function packument(name: string, packages: readonly LockedPackage[], url: string): object {
  const versions = packages.map(({ version, integrity }) => [
    version,
    { name, version, dist: { integrity, tarball: `${url}/${name}/-/${fileName(name, version)}` } },
  ]);
  return { name, 'dist-tags': { latest: packages[0]?.version }, versions: Object.fromEntries(versions) };
}

function fileName(name: string, version: string): string {
  return `${name.split('/').at(-1)}-${version}.tgz`;
}

/** Where npm's cache has the package, by its checksum. */
function contentPath({ integrity = '' }: LockedPackage): string {
  const [algorithm = '', digest = ''] = integrity.split('-');
  const hex = Buffer.from(digest, 'base64').toString('hex');
  return join('_cacache/content-v2', algorithm, hex.slice(0, 2), hex.slice(2, 4), hex.slice(4));
}
