/** A registry key or an image's repository, taken apart for comparison. */
type Place = { readonly labels: readonly string[]; readonly port: string; readonly path: string };

/**
 * The form in which the kubelet keeps a key: without scheme, user, query and a leading `/v1` or `/v2` before another
 * slash. Undefined for a key that it ignores, because Go cannot read it as a URL, or that no image can match.
 * https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/credentialprovider/keyring.go (BasicDockerKeyring.Add)
 */
export function normaliseKey(registry: string): string | undefined {
  const url = parseUrl(registry.replace(/^https?:\/\//, ''));
  if (url === undefined) return undefined;
  const path = /^\/v[12]\//.test(url.path) ? url.path.slice(3) : url.path;
  return path === '/' ? url.host : url.host + path;
}

/**
 * Whether a key in normal form matches a repository (fully qualified, without tag or digest): the same port, the same
 * number of labels, each label by its pattern, and the path as a plain prefix of letters.
 * https://github.com/kubernetes/kubernetes/blob/v1.36.2/pkg/credentialprovider/keyring.go (URLsMatch)
 */
export function matchesKey(key: string, repository: string): boolean {
  const [pattern, place] = [takeApart(key), takeApart(repository)];
  return (
    pattern !== undefined &&
    place !== undefined &&
    pattern.port === place.port &&
    pattern.labels.length === place.labels.length &&
    place.path.startsWith(pattern.path) &&
    pattern.labels.every((label, index) => matchesPattern(label, place.labels[index] ?? ''))
  );
}

function takeApart(text: string): Place | undefined {
  const url = parseUrl(text);
  if (url === undefined) return undefined;
  // Go's net.SplitHostPort; with brackets or colons anywhere else, all of it is the name.
  const [, address, name = url.host, port = ''] = /^(?:\[([^[\]]*)\]|([^:[\]]*)):(\d*)$/.exec(url.host) ?? [];
  return { labels: (address ?? name).split('.'), port, path: url.path };
}

/**
 * Host and path of a URL without its scheme, where Go's net/url takes it. Its older versions take more, and they
 * decide here: Go 1.25.8 and 1.26.1 refuse brackets around anything but an IPv6 address, and Go 1.26 a second colon.
 * https://pkg.go.dev/net/url#Parse
 */
export function parseUrl(text: string): { readonly host: string; readonly path: string } | undefined {
  const [, authority = '', rest = '', query = '', fragment = ''] =
    /^([^/?#]*)([^?#]*)([^#]*)#?(.*)$/s.exec(text) ?? [];
  // The control characters of ASCII; those beyond it Go takes.
  if (/[\p{Cc}--[\u0080-\u009f]]/v.test(authority + rest + query)) return undefined;
  const at = authority.lastIndexOf('@');
  const [user, host] = [authority.slice(0, Math.max(0, at)), authority.slice(at + 1)];
  const isRead = isUserInfo(user) && isHost(host) && isEscaped(rest) && isEscaped(fragment);
  return isRead ? { host: decodePercent(host), path: decodePercent(rest) } : undefined;
}

function isUserInfo(user: string): boolean {
  return !/[^A-Za-z0-9\-._~!$&'()*+,;=:%@]/.test(user) && isEscaped(user);
}

/** Percent signs may stand for what is not ASCII, and for themselves. */
function isHost(host: string): boolean {
  if (host === '' || /[^A-Za-z0-9\-._~!$&'()*+,;=:[\]<>"%\u0080-\uffff]/.test(host)) return false;
  if (/%(?!25|[89A-Fa-f][0-9A-Fa-f])/.test(host)) return false;
  const port = host.startsWith('[') ? /^\[.*\](.*)$/.exec(host)?.[1] : /(?::[^:]*)?$/.exec(host)?.[0];
  return port !== undefined && /^(?::\d*)?$/.test(port);
}

function isEscaped(text: string): boolean {
  return !/%(?![0-9A-Fa-f]{2})/.test(text);
}

/** Byte by byte, which is right for ASCII; no image has anything else in its name. */
function decodePercent(text: string): string {
  return text.replace(/%(..)/g, (_, byte: string) => String.fromCharCode(Number.parseInt(byte, 16)));
}

type Letters = (letter: string) => boolean;

/**
 * Go's path/filepath.Match for one label, as far as the host of a URL can spell a pattern: `*` and `[a-z]`, for a
 * question mark begins the query, and `^` and the backslash are refused. On a mismatch it goes back to the last star
 * only, so that no pattern can make it slow. A malformed pattern matches nothing.
 */
function matchesPattern(pattern: string, label: string): boolean {
  if (!/[*[]/.test(pattern)) return pattern === label;
  const parts = parsePattern(pattern);
  if (parts === undefined) return false;
  let at = 0;
  let star = -1;
  let resume = 0;
  let position = 0;
  while (position < label.length) {
    const part = parts[at];
    if (part === '*') {
      star = at++;
      resume = position;
    } else if (part?.(label.charAt(position))) {
      at++;
      position++;
    } else if (star >= 0) {
      at = star + 1;
      position = ++resume;
    } else return false;
  }
  return parts.slice(at).every(part => part === '*');
}

function parsePattern(pattern: string): readonly (Letters | '*')[] | undefined {
  const parts: (Letters | '*')[] = [];
  for (const [text, list] of pattern.matchAll(/\[([^\]]+)\]|./gs)) {
    if (text === '*') parts.push('*');
    else if (list !== undefined) {
      const letters = parseList(list);
      if (letters === undefined) return undefined;
      parts.push(letters);
    } else if (text === '[') return undefined;
    else parts.push(letter => letter === text);
  }
  return parts;
}

/** The inside of `[...]`: letters and ranges of letters. */
function parseList(list: string): Letters | undefined {
  if (list.replace(/[^-](?:-[^-])?/gs, '') !== '') return undefined;
  const ranges = [...list.matchAll(/(.)(?:-(.))?/gs)].map(([, low = '', high = low]) => [low, high] as const);
  return letter => ranges.some(([low, high]) => low <= letter && letter <= high);
}
