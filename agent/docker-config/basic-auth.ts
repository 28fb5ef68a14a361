import { SecretText } from '../base/secret-text.ts';
import type { Credential } from './credential.ts';

/**
 * Checks the `auth` field of a docker config entry as the kubelet does (standard base64, padded or not, line breaks
 * ignored, a colon in what it says) and returns it padded, byte for byte the same credential. Returns undefined for
 * what the kubelet would refuse. Node's own decoder takes nearly anything, so the alphabet and length are checked first.
 * https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/credentialprovider/config.go (decodeDockerConfigFieldAuth)
 */
export function canonicalBasicAuth(field: string): SecretText | undefined {
  const text = field.replace(/[\r\n]/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const padded = text.endsWith('=');
  if (padded ? text.length % 4 !== 0 : text.length % 4 === 1) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.includes(':') ? new SecretText(bytes.toString('base64')) : undefined;
}

/** Splits a canonical `auth` at the first colon, as the kubelet does: a password may contain colons. */
export function decodeBasicAuth(auth: SecretText): Credential {
  const text = Buffer.from(auth.reveal(), 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return { username: text.slice(0, colon), password: new SecretText(text.slice(colon + 1)) };
}

/** Encodes a user name (without a colon) and a password as an `auth` field: padded standard base64. */
export function encodeBasicAuth(username: string, password: string): SecretText {
  return new SecretText(Buffer.from(`${username}:${password}`).toString('base64'));
}
