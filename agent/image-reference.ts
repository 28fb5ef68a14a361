/** An image reference, normalised as containerd and docker do. */
export type ImageReference = {
  /** Host and port: `docker.io`, `registry.example.com:5000`. */
  readonly registry: string;
  /** Fully qualified, without tag and digest: `docker.io/library/nginx`; what credentials are matched against. */
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
  /**
   * The name under which a runtime lists the image: `docker.io/library/nginx:1.27`, or with the digest alone where the
   * reference has one, because then the runtimes keep no tag.
   */
  readonly name: string;
};

// The grammar of https://github.com/distribution/reference/blob/v0.6.0/reference.go
const domainPart = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const domain = `(?:${domainPart}(?:\\.${domainPart})*|\\[(?:[a-fA-F0-9:]+)\\])(?::[0-9]+)?`;
const pathPart = '[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*';
const referencePattern = new RegExp(
  `^(?<path>(?:${domain}/)?${pathPart}(?:/${pathPart})*)` +
    `(?::(?<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?` +
    `(?:@(?<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`,
);

/** The algorithms that the runtimes have, and how many hexadecimal digits each of their digests has. */
const digestLengths = new Map([
  ['sha256', 64],
  ['sha384', 96],
  ['sha512', 128],
]);

/** More than any real reference has (256 for the repository, 128 for the tag, a digest), so that the pattern stays quick. */
const maxLength = 1_000;

/**
 * Parses an image reference. Without a registry it is docker.io, there `library/` is added to a single name, and
 * without tag and digest the tag is `latest`. Returns what is wrong with it otherwise.
 */
export function parseImageReference(text: string): ImageReference | string {
  if (text.length > maxLength) return `it is longer than ${maxLength} characters`;
  const groups = referencePattern.exec(text)?.groups;
  if (groups?.path === undefined) return complaintAbout(text);
  const { registry, path } = splitRegistry(groups.path);
  if (path === '') return complaintAbout(text);
  const repository = `${registry}/${path}`;
  if (repository.length > 255) return 'its repository is longer than 255 characters';
  const { digest } = groups;
  const complaint = complaintAboutDigest(digest) ?? complaintAboutPort(registry);
  if (complaint) return complaint;
  if (/^[0-9a-f]{64}$/.test(groups.path)) return 'it is the id of an image, which no registry knows';
  const tag = groups.tag ?? (digest === undefined ? 'latest' : undefined);
  return {
    registry,
    repository,
    tag,
    digest,
    name: digest ? `${repository}@${digest}` : `${repository}:${tag}`,
  };
}

function complaintAboutDigest(digest: string | undefined): string | undefined {
  if (digest === undefined) return undefined;
  const [algorithm = '', digits = ''] = digest.split(':');
  const length = digestLengths.get(algorithm);
  if (length === undefined) return `the runtimes know no digest ${algorithm}`;
  return digits.length === length && !/[A-F]/.test(digits)
    ? undefined
    : `its digest is not ${algorithm}: with ${length} lower-case hexadecimal digits`;
}

function complaintAboutPort(registry: string): string | undefined {
  const [, port = '1'] = /:(\d+)$/.exec(registry) ?? [];
  return Number(port) >= 1 && Number(port) <= 65_535 ? undefined : `there is no port ${port}`;
}

function splitRegistry(name: string): { registry: string; path: string } {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  // Only what looks like a host is one: a dot, a port, localhost, or a letter that no repository may have.
  const isHost = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  const registry = isHost ? first : 'docker.io';
  const path = isHost ? name.slice(slash + 1) : name;
  if (registry !== 'docker.io' && registry !== 'index.docker.io') return { registry, path };
  return { registry: 'docker.io', path: path.includes('/') ? path : `library/${path}` };
}

function complaintAbout(text: string): string {
  if (/^[a-z]+:\/\//.test(text)) return 'it has a scheme; write it without';
  if (/\s/.test(text)) return 'it has a space in it';
  if (/\$\(/.test(text)) return 'it has a variable other than $(ARCH), $(OS) and $(NODE_NAME)';
  if (/[A-Z]/.test(text.split(/[:@]/)[0] ?? '')) return 'a repository is written in lower case';
  return 'it is no image reference such as registry.example.com/team/app:1.2';
}
