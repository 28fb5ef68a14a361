import { messageOf } from '../../base/failure.ts';
import { type KindsByText, kindOfText, printable } from '../failure-text.ts';
import type { Hide } from '../hide-credential.ts';
import { PullFailure } from '../pull-failure.ts';
import { DockerRefusal, UnreadableAnswer } from './docker-answer.ts';

/**
 * What tells the kind of a failed pull, first match first. Texts: docker 20.10 with its own store, docker 23 to 29 with
 * containerd's, podman 4.3 and later ones. What a registry says with a 403 or 429 is shown in the registry's own words.
 */
const kindsByText: KindsByText = [
  // Before the disk, because it may be the registry's own that is full.
  ['unreachable', /\b(?:status|http)\D{0,30}\b5\d\d\b/i],
  ['disk', /no space left on device|disk quota exceeded/i],
  ['rate-limited', /too ?many ?requests|\b(?:status|http)\D{0,30}\b429\b/i],
  ['platform', /no matching manifest|no match for platform|no image found in (?:manifest list|image index)/i],
  ['bad-reference', /invalid reference format/i],
  ['auth', /\bunauthorized\b|(?<!permission )\bdenied\b|no basic auth credentials|authentication required/i],
  ['auth', /\b(?:status|http)\D{0,30}\b40[13]\b/i],
  // It is no registry that does not know the address of its own API.
  ['unreachable', /pinging container registry.*\b404\b/i],
  [
    'not-found',
    /(?:manifest|name|blob) unknown|unknown blob|: not found|"" not found|status\D{0,30}\b404\b/i,
  ],
  // A request without an answer: what is refused there is refused by a proxy, and is no matter of credentials.
  ['unreachable', /\b(?:get|head|post) "": |failed to do request|pinging container registry/i],
  ['unreachable', /dial (?:tcp|udp|unix)|no such host|connection re(?:fused|set)|timeout|deadline exceeded/i],
  ['unreachable', /\bEOF\b|x509|tls: |http2: |stream error|network is unreachable/i],
  // Something came that is not what the manifest names, or no manifest: from the registry, or a proxy before it.
  ['unreachable', /verification failed|did not match|unexpected commit|failed size validation/i],
  ['unreachable', /expected HTTP 206|content-length|invalid character|unsupported manifest|response body/i],
];

/** Where names stand that have no slash, because docker shortens its own, and none of what is masked anyway. */
const placesOfNames = /\b(manifest for|denied for|reading manifest|docker:\/\/) ?[^\s,]+/g;

/** What is refused in docker's place by a plugin that decides who may do what on the node. */
const ofPlugin = /^authorization denied by plugin |^plugin \S+ failed with error: AuthZPlugin\./;

/**
 * Translates what went wrong with a pull: docker's text, or what broke the connection. What it says is shown as far as
 * `hide` leaves it; it is no cause of the failure, because whoever prints causes would print it as it was.
 */
export function dockerPullFailure(problem: unknown, hide: Hide = text => text): PullFailure {
  if (problem instanceof PullFailure) return problem;
  const said = messageOf(problem);
  const shown = printable(hide(said));
  if (problem instanceof UnreadableAnswer)
    return new PullFailure(
      'unknown',
      `what the container runtime tells of the pull cannot be read: ${shown}`,
    );
  if (problem instanceof DockerRefusal && (problem.isWordless || ofPlugin.test(said)))
    return new PullFailure('runtime', `the container runtime refuses to pull: ${shown}`);
  if (typeof problem === 'string' || problem instanceof DockerRefusal)
    return new PullFailure(kindOfText(printable(said).replace(placesOfNames, '$1 ""'), kindsByText), shown);
  return new PullFailure('runtime', `the container runtime does not answer: ${shown}`);
}
