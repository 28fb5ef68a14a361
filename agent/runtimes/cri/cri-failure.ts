import { Code, ConnectError } from '@connectrpc/connect';
import { type KindsByText, kindOfText, printable } from '../failure-text.ts';
import type { Hide } from '../hide-credential.ts';
import { PullFailure } from '../pull-failure.ts';

/**
 * What tells the kind of a failed pull, first match first. The runtimes give most failures the code Unknown, so their
 * text decides. Texts: containerd 1.6 to 2.3 and its resolver, CRI-O, and the names that CRI itself defines.
 */
const kindsByText: KindsByText = [
  // A request without an answer: what is refused there is refused by a proxy, and is no matter of credentials.
  ['unreachable', /failed to do request|\b(?:get|head|post) "": /i],
  // Before the disk, because it may be the registry's own that is full.
  ['unreachable', /\bstatus\D*5\d\d\b/i],
  ['disk', /no space left on device|disk quota exceeded/i],
  ['rate-limited', /\bstatus\D*429\b|too ?many ?requests/i],
  ['platform', /no match for platform|no matching manifest|no image found in (?:manifest list|image index)/i],
  ['bad-reference', /failed to parse image reference|invalid reference format/i],
  [
    'auth',
    /\bstatus\D*40[13]\b|unauthorized|forbidden|authorization failed|access denied|no basic auth credentials/i,
  ],
  // Of the image and of its parts in the registry; what the runtime misses in its own store is another matter.
  ['not-found', /(?:^|: )""(?:@\S+)?: not found|from remote: not found|manifest unknown|name unknown/i],
  [
    'unreachable',
    /dial (?:tcp|udp|unix)|no such host|connection re(?:fused|set)|i\/o timeout|network is unreachable/i,
  ],
  ['unreachable', /x509|tls: |tls handshake|http2: |stream error|unexpected EOF|registryunavailable/i],
  // Something came that is not what the manifest names, or no manifest: from the registry, or a proxy before it.
  ['unreachable', /unexpected commit (?:digest|size)|failed size validation|invalid desc\b/i],
];

/**
 * Translates what a pull over CRI threw. What it says is shown as far as `hide` leaves it; it is no cause of the failure,
 * because whoever prints causes would print it as it was.
 */
export function criPullFailure(error: unknown, hide: Hide = text => text): PullFailure {
  if (error instanceof PullFailure) return error;
  const known = ConnectError.from(error);
  const text = shown(hide(known.rawMessage));
  if (known.code === Code.Unavailable || isConnectionLoss(known)) {
    return new PullFailure('runtime', `the container runtime does not answer: ${text}`);
  }
  return new PullFailure(kindOfText(shown(known.rawMessage), kindsByText), text);
}

/** Some transports report a connection that broke in mid-call under other codes, with the system's error as cause. */
function isConnectionLoss(error: ConnectError): boolean {
  const code = error.cause instanceof Error && 'code' in error.cause ? String(error.cause.code) : '';
  // Only at the start: a registry's own HTTP/2 trouble stands further on, after what the runtime was doing.
  return /^(?:ERR_HTTP2|ECONN|EPIPE|ENOENT)/.test(code) || /^http\/2 stream closed/.test(error.rawMessage);
}

/** The runtime's text without its own prefix and the JSON bodies that follow on other lines. */
function shown(text: string): string {
  const [first = ''] = text.trimStart().split('\n', 1);
  return printable(
    first.replace(/^failed to pull and unpack image "[^"]*": (?:failed to resolve reference "[^"]*": )?/, ''),
  );
}
