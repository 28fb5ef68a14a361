import { randomBytes } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hash } from 'bcryptjs';
import { signingCertificate } from './token-certificate.ts';
import { type Access, registryService, startTokenService, tokenIssuer } from './token-service.ts';

/** Somebody who may pull what lies in `repositories`: names, prefixes that end with `/`, or `*` for all. */
export type RegistryUser = {
  readonly name: string;
  readonly password: string;
  readonly repositories: readonly string[];
};

/** How a registry asks for passwords. */
export type Authentication = {
  /** The `auth` section of the registry's configuration. */
  readonly config: object;
  /** The `Authorization` header of somebody who may publish into a repository. */
  publisher(repository: string): string;
  /** To be called after a change of the passwords. */
  passwordsChanged(): Promise<void>;
  close(): Promise<void>;
};

/**
 * Starts what a registry needs to ask for the passwords of the map. With `token` its clients are sent to the sandbox's
 * token service, which knows what each user may read. With `htpasswd` they use Basic authentication, and everybody
 * with a password may read everything: docker-registry has no rights per repository there.
 */
export function startAuthentication(
  options: {
    readonly directory: string;
    readonly users: readonly RegistryUser[];
    readonly authentication?: 'token' | 'htpasswd' | undefined;
  },
  passwords: ReadonlyMap<string, string>,
): Promise<Authentication> {
  return options.authentication === 'htpasswd'
    ? startBasicAuthentication(options.directory, passwords)
    : startTokenAuthentication(options.directory, options.users, passwords);
}

async function startTokenAuthentication(
  directory: string,
  users: readonly RegistryUser[],
  passwords: ReadonlyMap<string, string>,
): Promise<Authentication> {
  const signer = await signingCertificate(directory);
  const service = await startTokenService(signer, ({ user, password }, asked) => {
    if (passwords.get(user) !== password) return undefined;
    // As the protocol wants it, what is not granted is left out of the token; the registry then refuses the request.
    return asked.flatMap(access =>
      pullRight(access, users.find(({ name }) => name === user)?.repositories ?? []),
    );
  });
  return {
    config: {
      token: {
        realm: service.realm,
        service: registryService,
        issuer: tokenIssuer,
        rootcertbundle: signer.certificateFile,
      },
    },
    publisher: name =>
      `Bearer ${service.issue('publisher', [{ type: 'repository', name, actions: ['pull', 'push'] }])}`,
    passwordsChanged: async () => undefined,
    close: service.close,
  };
}

function pullRight(asked: Access, repositories: readonly string[]): Access[] {
  const mayRead = repositories.some(
    pattern =>
      pattern === '*' || pattern === asked.name || (pattern.endsWith('/') && asked.name.startsWith(pattern)),
  );
  if (asked.type !== 'repository' || !asked.actions.includes('pull') || !mayRead) return [];
  return [{ ...asked, actions: ['pull'] }];
}

async function startBasicAuthentication(
  directory: string,
  passwords: ReadonlyMap<string, string>,
): Promise<Authentication> {
  const publisher = { name: 'publisher', password: randomBytes(18).toString('base64url') };
  const path = join(directory, 'htpasswd');

  // docker-registry reads the file again when its time of change is newer.
  async function writePasswords(): Promise<void> {
    const users = [...passwords, [publisher.name, publisher.password] as const];
    const lines = await Promise.all(
      users.map(async ([name, password]) => `${name}:${await hash(password, 4)}\n`),
    );
    await writeFile(`${path}.new`, lines.join(''));
    await rename(`${path}.new`, path);
  }
  await writePasswords();
  return {
    config: { htpasswd: { realm: 'sandbox', path } },
    publisher: () => `Basic ${Buffer.from(`${publisher.name}:${publisher.password}`).toString('base64')}`,
    passwordsChanged: writePasswords,
    close: async () => undefined,
  };
}
