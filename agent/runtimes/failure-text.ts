import type { PullFailureKind } from './pull-failure.ts';

/** What tells the kind of a failed pull, first match first. */
export type KindsByText = readonly (readonly [PullFailureKind, RegExp])[];

/**
 * The kind of a failed pull by the runtime's text, in which names and addresses are masked first: an image with the tag
 * 403 has not failed for that. They stand in quotes or brackets, are URLs, or have a slash. The text is to be as short as
 * what `printable` returns: the time that patterns take may grow with its square.
 */
export function kindOfText(text: string, kinds: KindsByText): PullFailureKind {
  const words = text
    .replace(/"[^"]*"|https?:\/\/\S+|\[[^\]]*\]/g, '""')
    .replace(/\b[\w.-]+(?::\d+)?\/[\w./-]+(?::[\w.-]+)?/g, '""');
  return kinds.find(([, pattern]) => pattern.test(words))?.[0] ?? 'unknown';
}

/** So much of a text is looked at; a registry may say megabytes. */
const maxRead = 4_000;

const maxShown = 1_000;

/**
 * A text as one short line that can be shown: without query strings (a signed URL is a secret), user names, tokens and
 * control characters. A credential is to be hidden in it before, because a part of it may be cut off here.
 */
export function printable(text: string): string {
  const shown = text
    .trimStart()
    .slice(0, maxRead)
    .replace(/(https?:\/\/)[^/\s"@]*@/g, '$1')
    .replace(/\?[^\s"]*/g, '?...')
    // Of an Authorization header; tokens that the runtime has got for the credential are known to it alone.
    .replace(/\b(basic|bearer) (?=\S*\d)[\w.~+/=-]{16,}/gi, '$1 ...')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .slice(0, maxShown)
    .trim();
  return shown || 'it does not say why';
}
