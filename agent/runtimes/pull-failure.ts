/** Why a pull failed, as far as it decides what happens next. */
export type PullFailureKind =
  | 'auth'
  | 'not-found'
  | 'platform'
  | 'bad-reference'
  | 'rate-limited'
  | 'unreachable'
  | 'disk'
  | 'timeout'
  | 'stalled'
  | 'runtime'
  | 'unknown';

/** A failed pull, translated from whatever the runtime said. */
export class PullFailure extends Error {
  override readonly name = 'PullFailure';
  readonly kind: PullFailureKind;

  /** `problem` is what went wrong, in one line; a sentence that says what to do is added by the kind. */
  constructor(kind: PullFailureKind, problem: string, cause?: unknown) {
    super(`${problem}; ${advice[kind]}`, { cause });
    this.kind = kind;
  }
}

const advice: Readonly<Record<PullFailureKind, string>> = {
  auth: 'check that the Secret has a credential for this repository; it is tried again the moment the credentials change',
  'not-found': 'check the name and the tag in the registry, or take the image off the list',
  platform: "the image has nothing for this node's platform; publish one, or use $(ARCH) in the name",
  'bad-reference': 'write it as registry/repository:tag or registry/repository@sha256:...',
  'rate-limited': 'the registry is left alone for a while; use a mirror or a credential with a higher limit',
  unreachable: "check DNS, routes, proxy, the registry's certificate, and the registry itself",
  disk: 'free space on the image file system of the node',
  timeout: 'raise pulls.timeout if the image is that large or the network that slow',
  stalled: 'no byte came for pulls.stallTimeout; check the registry and the network',
  runtime: 'it goes on when the container runtime answers again',
  unknown: 'look into the log of the container runtime',
};
