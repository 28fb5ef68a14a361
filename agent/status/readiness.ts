import { formatByteSize } from '../base/byte-size.ts';
import type { CredentialState } from '../credentials/credential-flow.ts';
import { showRegistry } from '../docker-config/shown-registry.ts';
import { type DiskSpace, isDiskLow } from '../images/disk.ts';
import type { ImageState } from '../images/image-state.ts';
import type { ImagesState } from '../images/images-state.ts';
import type { IoPressure } from '../images/io-guard.ts';
import type { Board } from './board.ts';

/**
 * Why the node is not ready: empty when the state was read, every target is current and every required image is
 * present. Sentences for people; what they are about stands first.
 */
export function findReasons({ duty, config, credentials, images }: Board): readonly string[] {
  if (duty.state === 'waiting') return [duty.reason];
  if (duty.state === 'cleaned')
    return ['the node was cleaned; start the agent anew if it is to work here again'];
  return [
    ...(config ? config.problems : ['the config was not read yet']),
    ...(credentials ? credentialReasons(credentials) : ['the secrets were not read yet']),
    ...imageReasons(images),
  ];
}

/** What a person should know although it does not keep the node from being ready. */
export function findNotes({ credentials, images }: Board): readonly string[] {
  const absent = (credentials?.sources ?? []).filter(({ state }) => state === 'absent');
  const current = (credentials?.sources ?? []).filter(({ state }) => state === 'current');
  const optional = images.images.filter(({ wanted, warm }) => !wanted.required && !warm);
  const unpinned = images.images.filter(
    ({ wanted, warm }) => wanted.pin && warm && !images.pinned.has(wanted.reference.name),
  );
  const whyNot = images.pinProblem ?? 'the runtime has no pins that could be asked for';
  return [
    ...(credentials?.sources.length === 0
      ? ['no Secret is mounted, so there are no credentials to write']
      : []),
    ...[...absent, ...current].flatMap(({ name, problems }) =>
      problems.map(problem => `secret ${name}: ${problem}`),
    ),
    ...(credentials?.conflicts ?? []),
    ...(credentials?.targets ?? []).flatMap(({ path, setAside }) =>
      setAside.map(registry => describeSetAside(path, registry)),
    ),
    ...(credentials?.warnings ?? []).map(({ text }) => text),
    ...images.listWarnings,
    ...optional.map(describeImage),
    ...unpinned.map(({ wanted }) => `image ${wanted.image} is not pinned: ${whyNot}`),
    ...(images.pinsUntold ? [describeUntold(images.runtime)] : []),
    ...[images.diskProblem, images.ioProblem].filter(problem => problem !== null),
  ];
}

/** What is said of somebody else's entry that would void a file. */
export function describeSetAside(path: string, registry: string): string {
  return `somebody else's entry ${showRegistry(registry)} in ${path} is malformed and would void the whole file for its reader, so it is kept aside; write it anew (docker login) if it is needed`;
}

function credentialReasons({ sources, targets, problems }: CredentialState): readonly string[] {
  const broken = sources.filter(({ state }) => state === 'kept' || state === 'invalid');
  return [
    ...problems,
    ...broken.flatMap(({ name, state, problems: faults }) =>
      faults.map(
        fault =>
          `secret ${name}: ${fault}${state === 'kept' ? ' (its last good entries stay in force)' : ''}`,
      ),
    ),
    ...targets
      .filter(({ state }) => state !== 'current')
      .map(({ path, problem, state }) =>
        state === 'refused' ? `${path} is not written: ${problem}` : `${problem}`,
      ),
  ];
}

function imageReasons({ runtime, images, unusable, disk, ioPressure }: ImagesState): readonly string[] {
  if (runtime.state === 'none') return [];
  const missing = images.filter(({ wanted, warm }) => wanted.required && !warm);
  const wrong = unusable.filter(({ required }) => required);
  return [
    ...(runtime.state === 'unavailable' && images.some(({ wanted }) => wanted.required)
      ? [`no container runtime: ${runtime.problem}`]
      : []),
    ...(disk && isDiskLow(disk) && missing.length > 0 ? [describeLowDisk(disk)] : []),
    ...(ioPressure && missing.length > 0 ? [describePressure(ioPressure)] : []),
    ...missing.map(describeImage),
    ...wrong.map(({ image, problem }) => `image ${image} cannot be pulled: ${problem}`),
  ];
}

function describeLowDisk({ path, freeBytes, keepFreeBytes }: DiskSpace): string {
  const room = `${formatByteSize(freeBytes)} are free on the file system of ${path}`;
  return `nothing is pulled: ${room}, ${formatByteSize(keepFreeBytes)} are to be kept free (disk.keepFree)`;
}

function describeUntold({ name, version }: ImagesState['runtime']): string {
  return `${name} ${version} keeps pins and tells the kubelet nothing of them, so pinned images may be collected all the same; upgrade it (containerd: 1.6.25, 1.7.10, 2.0 or later)`;
}

function describePressure({ share, limit }: IoPressure): string {
  const [now, most] = [share, limit].map(part => `${Math.round(part * 100)}%`);
  return `no pull starts: the I/O pressure of the node is ${now}, and pulls.maxIoPressure is ${most}`;
}

function describeImage({ wanted: { image }, state, failure }: ImageState): string {
  const why = failure ? `: ${failure.message}` : '';
  if (state === 'failed') return `image ${image} failed${why}`;
  if (state === 'skipped') return `image ${image} is skipped${why}`;
  return `image ${image} is ${state}${why}`;
}
