import { z } from 'zod';
import { Failure } from '../../base/failure.ts';
import { listOf, readJson } from './docker-answer.ts';

/** Who answers at a docker socket, and how it is spoken to. */
export type DockerVersion = {
  /** `docker` or `podman`. */
  readonly name: string;
  /** At most 64 characters of printable ASCII. */
  readonly version: string;
  /** The version of the API that both sides speak: `1.41`. */
  readonly apiVersion: string;
};

/** The oldest and the newest version of the API that is known here: docker 1.13 and docker 29. */
const [oldest, newest] = ['1.25', '1.52'];

const apiVersion = z.string().regex(/^\d{1,4}\.\d{1,4}$/);

const answer = z.object({
  Version: z.string(),
  ApiVersion: apiVersion,
  MinAPIVersion: apiVersion.optional(),
  Components: listOf(z.object({ Name: z.string() })).nullish(),
});

/**
 * Reads what `GET /version` answered and chooses the version of the API, the newest that both sides know. Throws a Failure
 * if there is none, and another error if it is no answer of docker.
 */
export function readDockerVersion(tried: string, text: string): DockerVersion {
  const { Version, ApiVersion, MinAPIVersion = ApiVersion, Components } = readJson(text, answer);
  const version = Version.replace(/[^!-~]+/g, ' ')
    .trim()
    .slice(0, 64);
  const name = Components?.some(({ Name }) => /podman/i.test(Name)) ? 'podman' : 'docker';
  const who = `${name} ${version}`;
  if (isOlder(ApiVersion, oldest)) {
    const problem = `${who} speaks version ${ApiVersion} of docker's API, and ${oldest} is needed`;
    throw new Failure({ tried, problem, advice: `upgrade ${name}` });
  }
  if (isOlder(newest, MinAPIVersion)) {
    const problem = `${who} speaks version ${MinAPIVersion} of docker's API and later ones, and up to ${newest} is known here`;
    throw new Failure({ tried, problem, advice: 'upgrade pullready' });
  }
  return { name, version, apiVersion: isOlder(ApiVersion, newest) ? ApiVersion : newest };
}

function isOlder(one: string, other: string): boolean {
  const [major = 0, minor = 0] = one.split('.').map(Number);
  const [otherMajor = 0, otherMinor = 0] = other.split('.').map(Number);
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}
