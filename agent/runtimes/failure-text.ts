import type { PullFailureKind } from './pull-failure.ts';

/** What tells the kind of a failed pull, first match first. */
export type KindsByText = readonly (readonly [PullFailureKind, RegExp])[];

/**
 * The kind of a failed pull by the runtime's text, in which names and addresses are masked first: an image with the tag
 * 403 has not failed for that. They stand in quotes or brackets, are URLs, or have a slash.
 */
export function kindOfText(text: string, kinds: KindsByText): PullFailureKind {
  const words = text
    .replace(/"[^"]*"|https?:\/\/\S+|\[[^\]]*\]/g, '""')
    .replace(/\b[\w.-]+(?::\d+)?\/[\w./-]+(?::[\w.-]+)?/g, '""');
  return kinds.find(([, pattern]) => pattern.test(words))?.[0] ?? 'unknown';
}

/** A text as one line that can be shown: without query strings (a signed URL is a secret), user names, control characters. */
export function printable(text: string): string {
  return text
    .replace(/(https?:\/\/)[^/\s"@]*@/g, '$1')
    .replace(/\?[^\s"]*/g, '?...')
    .replace(/\p{Cc}/gu, ' ')
    .slice(0, 1_000)
    .trim();
}
