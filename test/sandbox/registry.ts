import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, type Link, openLink } from './link.ts';
import { type Program, startProgram, waitUntilReady } from './program.ts';
import { type Authentication, type RegistryUser, startAuthentication } from './registry-authentication.ts';

/** Where a registry keeps its files, who may pull, and how it is reached. */
export type RegistryOptions = {
  readonly directory: string;
  readonly logFile: string;
  readonly users: readonly RegistryUser[];
  /** 0 or none: any free one. */
  readonly port?: number;
  /** `token` if not given: see `startAuthentication`. */
  readonly authentication?: 'token' | 'htpasswd' | undefined;
};

/** A docker-registry of our own on 127.0.0.1. */
export type Registry = {
  /** `127.0.0.1:PORT`, the first part of its image references; the same after stop and start. */
  readonly host: string;
  readonly logFile: string;
  /** The password of a user that is in force. */
  password(user: string): string;
  /** A new password, in force with the next request; the old one is refused from then on. */
  setPassword(user: string, password: string): Promise<void>;
  /** Limits what all clients together get, in bytes per second; undefined: no limit, 0: connections hang. */
  limit(bytesPerSecond: number | undefined): void;
  /** Sends a request past the limit with the rights of a publisher, for putting images into a repository. */
  publish(repository: string, path: string, init?: RequestInit): Promise<Response>;
  /** Starts it again on the same port and storage after `stop` or `kill`. */
  start(): Promise<void>;
  /** Stops it; connections are refused afterwards. */
  stop(): Promise<void>;
  /** Kills the registry program; connections to the port are then taken and broken at once. */
  kill(): Promise<void>;
};

type Running = {
  readonly authentication: Authentication;
  readonly program: Program;
  readonly programPort: number;
  readonly link: Link;
};

/**
 * Starts a password-protected docker-registry. What was published into the same directory before is still there.
 * Rejects with EADDRINUSE if the wanted port is taken.
 */
export async function startRegistry(options: RegistryOptions): Promise<Registry> {
  const passwords = new Map(options.users.map(({ name, password }) => [name, password]));
  let rate: number | undefined;
  let running = await startParts(options, passwords, options.port ?? 0);
  const { port } = running.link;

  async function stop(): Promise<void> {
    await running.link.close();
    await running.program.stop();
    await running.authentication.close();
  }
  async function start(): Promise<void> {
    await stop();
    running = await startParts(options, passwords, port);
    running.link.limit(rate);
  }
  async function setPassword(user: string, password: string): Promise<void> {
    if (!passwords.has(user)) throw new Error(`the registry has no user ${user}`);
    passwords.set(user, password);
    await running.authentication.passwordsChanged();
  }
  return {
    host: `127.0.0.1:${port}`,
    logFile: options.logFile,
    password: user => passwords.get(user) ?? '',
    setPassword,
    limit(bytesPerSecond) {
      rate = bytesPerSecond;
      running.link.limit(rate);
    },
    publish: (...request) => publish(running, ...request),
    start,
    stop,
    async kill() {
      running.program.kill('SIGKILL');
      await running.program.ended;
    },
  };
}

async function publish(
  { authentication, programPort }: Running,
  repository: string,
  path: string,
  init: RequestInit = {},
): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set('authorization', authentication.publisher(repository));
  return await fetch(new URL(path, `http://127.0.0.1:${programPort}/v2/${repository}/`), {
    ...init,
    headers,
  });
}

async function startParts(
  options: RegistryOptions,
  passwords: ReadonlyMap<string, string>,
  port: number,
): Promise<Running> {
  await mkdir(options.directory, { recursive: true });
  const programPort = await freePort();
  // First of all, because it is what may fail: the port is taken.
  const link = await openLink({ port, target: () => programPort });
  let authentication: Authentication | undefined;
  try {
    authentication = await startAuthentication(options, passwords);
    const program = await startRegistryProgram(options, programPort, authentication);
    return { authentication, program, programPort, link };
  } catch (error) {
    await authentication?.close();
    await link.close();
    throw error;
  }
}

async function startRegistryProgram(
  { directory, logFile }: RegistryOptions,
  port: number,
  authentication: Authentication,
): Promise<Program> {
  const config = {
    version: '0.1',
    log: { level: 'info', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(directory, 'storage') },
      cache: { blobdescriptor: 'inmemory' },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: { addr: `127.0.0.1:${port}` },
    auth: authentication.config,
  };
  await writeFile(join(directory, 'config.yml'), JSON.stringify(config, null, 2)); // JSON is YAML, too
  const program = await startProgram({
    name: 'docker-registry',
    command: ['docker-registry', 'serve', 'config.yml'],
    directory,
    logFile,
  });
  // It answers when it asks for a password.
  await waitUntilReady(program, async () => (await fetch(`http://127.0.0.1:${port}/v2/`)).status === 401);
  return program;
}
