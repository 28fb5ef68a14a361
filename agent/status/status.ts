import type { CredentialState } from '../credentials/credential-flow.ts';
import { withoutUser } from '../docker-config/shown-registry.ts';
import type { ImageState } from '../images/image-state.ts';
import type { UnusableImage } from '../images/wanted-images.ts';
import type { Board } from './board.ts';
import { findNotes, findReasons } from './readiness.ts';

/** The answer of `/status`. Fields may be added; those that are there stay. */
export type Status = ReturnType<typeof toStatus>;

/** One image of the status. */
export type ImageStatus = Status['images'][number];

/** Makes the status from what is known. It holds no secret: none of its fields is made from one. */
export function toStatus(board: Board) {
  const { version, node, duty, config, credentials, images } = board;
  const reasons = findReasons(board);
  return {
    version,
    node,
    ready: reasons.length === 0,
    reasons,
    notes: findNotes(board),
    agent: duty.state,
    config: { problems: config?.problems ?? [] },
    credentials: toCredentialStatus(credentials),
    runtime: images.runtime,
    images: [
      ...images.images.map(image => toImageStatus(image, images.pinned.has(image.wanted.reference.name))),
      ...images.unusable.map(toUnusableStatus),
    ],
    disk: {
      path: images.disk?.path ?? null,
      freeBytes: images.disk?.freeBytes ?? null,
      keepFreeBytes: images.disk?.keepFreeBytes ?? null,
    },
  };
}

function toCredentialStatus(credentials: CredentialState | undefined) {
  const displaced = new Set(credentials?.targets.flatMap(target => target.displaced));
  return {
    sources: (credentials?.sources ?? []).map(({ name, state, entries, problems }) => ({
      name,
      state,
      entries: entries.length,
      problems,
    })),
    entries: (credentials?.entries ?? []).map(({ registry, source, expiresAt, state }) => ({
      registry,
      source,
      expiresAt: expiresAt?.toISOString() ?? null,
      state,
      displaces: state === 'written' && displaced.has(registry),
    })),
    targets: (credentials?.targets ?? []).map(target => ({
      path: target.path,
      state: target.state,
      managed: target.managed,
      foreign: target.foreign,
      writtenAt: target.writtenAt?.toISOString() ?? null,
      kubeletSeesBy: target.kubeletSeesBy?.toISOString() ?? null,
      displaced: target.displaced.map(withoutUser),
      setAside: target.setAside.map(withoutUser),
      problem: target.problem,
    })),
    warnings: (credentials?.warnings ?? []).map(({ text }) => text),
  };
}

function toImageStatus(image: ImageState, pinned: boolean) {
  const { wanted, state, failure, attempts, bytesDone, bytesTotal, nextAttemptAt, durationMs, warm } = image;
  return {
    image: wanted.image,
    state,
    reason: failure?.kind ?? null,
    message: failure?.message ?? null,
    required: wanted.required,
    warm,
    pinned,
    attempts,
    bytesDone,
    bytesTotal,
    nextAttemptAt: nextAttemptAt?.toISOString() ?? null,
    durationMs,
  };
}

function toUnusableStatus({ image, required, problem }: UnusableImage): ReturnType<typeof toImageStatus> {
  return {
    image,
    state: 'failed',
    reason: 'bad-reference',
    message: `${problem}; write it as registry/repository:tag or registry/repository@sha256:...`,
    required,
    warm: false,
    pinned: false,
    attempts: 0,
    bytesDone: 0,
    bytesTotal: null,
    nextAttemptAt: null,
    durationMs: null,
  };
}
