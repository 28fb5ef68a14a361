import type { SecretText } from '../base/secret-text.ts';

/** How long a credential is good for, by its own word; null where it says nothing. */
export type TokenLifetime = { readonly validFrom: Date | null; readonly expiresAt: Date | null };

/** The lifetime of what tells none: a password. */
export const unlimited: TokenLifetime = { validFrom: null, expiresAt: null };

/**
 * Reads the lifetime that a token carries in itself: the `nbf` and `exp` of a JSON Web Token (seconds since 1970,
 * RFC 7519 section 4.1), or the `expiration` of the JSON document that a password of Amazon's ECR is in base64.
 * It is not checked who signed a token: a wrong word about its end could only harm whoever wrote it.
 */
export function lifetimeOf(secret: SecretText): TokenLifetime {
  const text = secret.reveal();
  const [, payload] = /^[\w-]+\.([\w-]+)\.[\w-]*$/.exec(text) ?? [];
  if (payload !== undefined) {
    const claims = readObject(payload);
    return { validFrom: toDate(claims.nbf), expiresAt: toDate(claims.exp) };
  }
  // A JSON object in base64 begins with these letters, so most passwords are seen to be none without decoding them.
  if (!/^ey[\w+/-]+=*$/.test(text)) return unlimited;
  return { validFrom: null, expiresAt: toDate(readObject(text).expiration) };
}

/** The lifetime of two secrets of one entry: it is good from the later beginning to the earlier end. */
export function commonLifetime(lifetimes: readonly TokenLifetime[]): TokenLifetime {
  const times = (of: (lifetime: TokenLifetime) => Date | null) =>
    lifetimes.flatMap(lifetime => of(lifetime)?.getTime() ?? []);
  const [begins, ends] = [times(({ validFrom }) => validFrom), times(({ expiresAt }) => expiresAt)];
  return {
    validFrom: begins.length === 0 ? null : new Date(Math.max(...begins)),
    expiresAt: ends.length === 0 ? null : new Date(Math.min(...ends)),
  };
}

/** Whether a credential's own word is that it has ended. It is worse than none: the kubelet tries it and nothing else. */
export function isExpired({ expiresAt }: Pick<TokenLifetime, 'expiresAt'>, now: Date): boolean {
  return expiresAt !== null && expiresAt <= now;
}

function readObject(base64: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(base64, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    // It only looked like a token: a password, which tells nothing.
    return {};
  }
}

function toDate(seconds: unknown): Date | null {
  if (typeof seconds !== 'number') return null;
  const date = new Date(seconds * 1_000);
  return Number.isNaN(date.getTime()) ? null : date;
}
