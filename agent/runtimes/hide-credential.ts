import type { RegistryCredential } from './runtime.ts';

/** Takes what must not be shown out of a text. */
export type Hide = (text: string) => string;

const hidden = '[secret]';

/** Shorter ones are found in half of all words, and what is hidden there would tell them. */
const minLength = 4;

/**
 * How the credential of a pull is taken out of what is said about it, because a registry may answer with what it was
 * shown. It is found as it is and in the encodings in which it was sent or is quoted; `sent` are further texts that have
 * it in them. A text with a password so short that it may be part of any word is not shown at all.
 *
 * To be used on whole texts: in one that was cut, half a password may be left at the end.
 */
export function hideCredential(credential: RegistryCredential | undefined, ...sent: readonly string[]): Hide {
  if (!credential) return text => text;
  const secret =
    'identityToken' in credential ? credential.identityToken.reveal() : credential.password.reveal();
  const user = 'identityToken' in credential ? '' : credential.username;
  const encoded = [`${user}:${secret}`, ...(user ? [] : [secret])].flatMap(inBase64);
  const texts = [secret, ...encoded, ...sent].flatMap(quoted).filter(text => text.length >= minLength);
  // The longest first: one may be the beginning of another.
  const all = [...new Set(texts)].sort((one, other) => other.length - one.length).map(RegExp.escape);
  const pattern = all.length > 0 ? new RegExp(all.join('|'), 'g') : undefined;
  const word = secret !== '' && secret.length < minLength ? wordPattern(secret) : undefined;
  return text => {
    if (word?.test(text))
      return 'it says why, with the password in it, which is so short that nothing of it is shown';
    return pattern ? text.replace(pattern, hidden) : text;
  };
}

/** In both alphabets, with and without padding. */
function inBase64(text: string): readonly string[] {
  const bytes = Buffer.from(text);
  const urlSafe = bytes.toString('base64url');
  const padded = bytes.toString('base64');
  return [padded, padded.replace(/=+$/, ''), urlSafe, urlSafe.padEnd(padded.length, '=')];
}

/** As it is, within JSON as JavaScript and Go write it, and within a URL. */
function quoted(text: string): readonly string[] {
  const json = JSON.stringify(text).slice(1, -1);
  const goJson = json.replace(/[<>&]/g, sign => `\\u00${hexOf(sign)}`);
  const inUrl = encodeURIComponent(text.toWellFormed());
  // What JavaScript leaves as it is and Go does not.
  const inGoUrl = inUrl.replace(/[!'()*]/g, sign => `%${hexOf(sign).toUpperCase()}`);
  const inUrls = [inUrl, inGoUrl].flatMap(url => [url, url.replace(/%20/g, '+')]);
  const inLowerCase = inUrls.map(url => url.replace(/%../g, code => code.toLowerCase()));
  return [text, json, goJson, ...inUrls, ...inLowerCase];
}

function hexOf(sign: string): string {
  return sign.charCodeAt(0).toString(16);
}

function wordPattern(word: string): RegExp {
  return new RegExp(`(?<![\\p{L}\\p{N}])${RegExp.escape(word)}(?![\\p{L}\\p{N}])`, 'u');
}
