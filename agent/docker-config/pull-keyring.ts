import type { Credential, IdentityToken } from './credential.ts';
import { readAsDocker } from './docker-cli-reading.ts';
import { readKeyring } from './keyring.ts';

/** The credentials for pulls of our own. */
export type PullKeyring = {
  /** All for `repository` (`docker.io/library/nginx`), in the order in which they are tried; none: without any. */
  lookup(repository: string): readonly (Credential | IdentityToken)[];
};

/** The texts of the docker configs, as they are on the node; undefined where there is none. */
export type PullConfigs = {
  /** What the kubelet reads. */
  readonly kubelet: string | undefined;
  /** What docker's CLI reads. */
  readonly docker: string | undefined;
};

/**
 * The credentials that the kubelet would try. Where it has none, the identity token that docker's CLI would use: it
 * stands in docker's file alone, because the kubelet knows no such thing, and every runtime does.
 */
export function readPullKeyring({ kubelet, docker }: PullConfigs): PullKeyring {
  const keyring = readKeyring(kubelet);
  const reading = readAsDocker(docker ?? '{}');
  return {
    lookup(repository) {
      const matches = keyring.lookup(repository);
      if (matches.length > 0 || !reading.valid) return matches;
      const answer = reading.answer(repository.split('/', 1)[0] ?? '');
      return answer.kind === 'entry' && answer.identityToken ? [answer.identityToken] : [];
    },
  };
}
