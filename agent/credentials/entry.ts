import type { SecretText } from '../base/secret-text.ts';
import { decodeBasicAuth, encodeBasicAuth } from '../docker-config/basic-auth.ts';
import type { Reader } from './target-kind.ts';
import { commonLifetime, isExpired, lifetimeOf, type TokenLifetime } from './token-lifetime.ts';

/** One registry's credential as a source gives it. */
export type Entry = TokenLifetime & {
  /** The key of the docker config, as written in the source: `registry.example.com/team`. */
  readonly registry: string;
  /** The name of the source that it comes from. */
  readonly source: string;
  /** `user:password` in padded standard base64, the one form that every reader of docker configs accepts. */
  readonly auth: SecretText | undefined;
  /** A token that docker exchanges at the registry for others; the kubelet knows no such thing. */
  readonly identityToken: SecretText | undefined;
  /** It is what a helper program answered. */
  readonly isAnswer: boolean;
};

/** What an entry is made of: at least one of `auth` and `identityToken`. */
export type EntryParts = Pick<Entry, 'registry' | 'source'> &
  Partial<Pick<Entry, 'auth' | 'identityToken' | 'isAnswer'>>;

/** Makes an entry, with the lifetime that its secrets tell. */
export function makeEntry({ registry, source, auth, identityToken, isAnswer = false }: EntryParts): Entry {
  const secrets = [auth && decodeBasicAuth(auth).password, identityToken].filter(
    secret => secret !== undefined,
  );
  return { registry, source, auth, identityToken, isAnswer, ...commonLifetime(secrets.map(lifetimeOf)) };
}

/** What is left of an entry at `now`: a password does not end with the token beside it. undefined: nothing. */
export function unexpired(entry: Entry, now: Date): Entry | undefined {
  if (!isExpired(entry, now)) return entry;
  const { registry, source, auth, identityToken, isAnswer } = entry;
  const password = auth && decodeBasicAuth(auth).password;
  if (!auth || !identityToken || !password || password.reveal() === '') return undefined;
  const rest = isExpired(lifetimeOf(password), now) ? { identityToken } : { auth };
  const left = makeEntry({ registry, source, isAnswer, ...rest });
  return isExpired(left, now) ? undefined : left;
}

/**
 * The JSON value of an entry in the docker config of a reader; undefined if that reader cannot use it, for then none
 * is better: the kubelet would try an empty credential, and docker would drop the whole file.
 */
export function entryValue(entry: Entry, reader: Reader): string | undefined {
  const { auth, identityToken } = entry;
  const { username, password } = auth ? decodeBasicAuth(auth) : { username: '', password: undefined };
  if (reader === 'kubelet') {
    const isUsable = auth && !(identityToken && password?.reveal() === '');
    return isUsable ? JSON.stringify({ auth: auth.reveal() }) : undefined;
  }
  if (!identityToken) return auth && username !== '' ? JSON.stringify({ auth: auth.reveal() }) : undefined;
  // containers/image passes over an identity token without a user name; this one is what helpers give it.
  const user = auth && username !== '' ? auth : encodeBasicAuth('<token>', '');
  return JSON.stringify({ auth: user.reveal(), identitytoken: identityToken.reveal() });
}

/** Whether two entries give the same credential. */
export function isSameCredential(a: Entry, b: Entry): boolean {
  return a.auth?.reveal() === b.auth?.reveal() && a.identityToken?.reveal() === b.identityToken?.reveal();
}
