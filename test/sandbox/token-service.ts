import { randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { TokenSigner } from './token-certificate.ts';

/** One right in a token, as the registry's token protocol writes it. */
export type Access = { readonly type: string; readonly name: string; readonly actions: readonly string[] };

/** Who asks the token service, and with which password. */
export type Login = { readonly user: string; readonly password: string };

/** The service that a registry with token authentication sends its clients to. */
export type TokenService = {
  /** The URL for the registry's `WWW-Authenticate: Bearer realm=...`. */
  readonly realm: string;
  /** A signed token with these rights, whoever asks. */
  issue(subject: string, access: readonly Access[]): string;
  close(): Promise<void>;
};

/** The name of the registry in tokens, and of the service that signs them. */
export const registryService = 'sandbox-registry';
export const tokenIssuer = 'sandbox-token-service';

// Short, and still longer than one pull: clients ask for a new token for every pull.
const lifetimeSeconds = 60;

/**
 * Starts the token service on a free port of 127.0.0.1. It answers `GET` with Basic authentication, as the registry's
 * documentation has it, and `POST` with a form (grant type `password`, which containerd tries first, or `refresh_token`
 * with an `identityToken`).
 *
 * @param grant the rights of a login among those asked for, or undefined if the login is wrong
 */
export async function startTokenService(
  signer: TokenSigner,
  grant: (login: Login, asked: readonly Access[]) => readonly Access[] | undefined,
): Promise<TokenService> {
  const issue = (subject: string, rights: readonly Access[]) => signToken(signer, subject, rights);
  const server = http.createServer((request, response) => {
    answer(request, grant, issue).then(
      ({ status, body }) => send(response, status, body),
      error => send(response, 500, { details: String(error) }),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the token service has no port');

  async function close(): Promise<void> {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }
  return { realm: `http://127.0.0.1:${address.port}/token`, issue, close };
}

type Answer = { readonly status: number; readonly body: object };

async function answer(
  request: IncomingMessage,
  grant: (login: Login, asked: readonly Access[]) => readonly Access[] | undefined,
  issue: TokenService['issue'],
): Promise<Answer> {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  if (url.pathname !== '/token') return { status: 404, body: {} };
  const isForm = request.method === 'POST';
  const fields = isForm ? new URLSearchParams(await text(request)) : url.searchParams;
  const login = isForm ? formLogin(fields) : basicLogin(request.headers.authorization);
  const rights = login && grant(login, fields.getAll('scope').flatMap(readScope));
  if (login === undefined || rights === undefined)
    return { status: 401, body: { details: 'incorrect username or password' } };
  const token = issue(login.user, rights);
  return { status: 200, body: { token, access_token: token, expires_in: lifetimeSeconds } };
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** What the service takes for a login in place of a user name and password: docker calls it an identity token. */
export function identityToken({ user, password }: Login): string {
  return Buffer.from(JSON.stringify([user, password])).toString('base64url');
}

function tokenLogin(token: string): Login | undefined {
  try {
    const [user, password] = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    return { user, password };
  } catch {
    return undefined;
  }
}

function formLogin(fields: URLSearchParams): Login | undefined {
  if (fields.get('grant_type') === 'refresh_token') return tokenLogin(fields.get('refresh_token') ?? '');
  const [user, password] = [fields.get('username'), fields.get('password')];
  if (fields.get('grant_type') !== 'password' || user === null || password === null) return undefined;
  return { user, password };
}

function basicLogin(header: string | undefined): Login | undefined {
  const encoded = /^Basic (.+)$/i.exec(header ?? '')?.[1];
  const [, user, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded ?? '', 'base64').toString()) ?? [];
  return user === undefined || password === undefined ? undefined : { user, password };
}

/** `repository:team/api:pull,push`, several of them separated by spaces. */
function readScope(scope: string): Access[] {
  return scope.split(' ').flatMap(part => {
    const [, type, name, actions] = /^(\w+):(.+):([\w,*]+)$/.exec(part) ?? [];
    return type && name && actions ? [{ type, name, actions: actions.split(',') }] : [];
  });
}

function signToken({ key, certificate }: TokenSigner, subject: string, rights: readonly Access[]): string {
  const now = Math.floor(Date.now() / 1000);
  const header = { typ: 'JWT', alg: 'ES256', x5c: [certificate.raw.toString('base64')] };
  const claims = {
    iss: tokenIssuer,
    aud: registryService,
    sub: subject,
    iat: now,
    nbf: now - 5,
    exp: now + lifetimeSeconds,
    jti: randomUUID(),
    access: rights,
  };
  const signed = [header, claims]
    .map(part => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}
