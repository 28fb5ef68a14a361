import type { ImageState } from '../images/image-state.ts';
import type { Board } from './board.ts';
import { findReasons } from './readiness.ts';

/** How long `--once` waits for another agent, a runtime or room on the disk, in milliseconds. */
const patience = 30_000;

/** How many attempts `--once` makes at an image whose failure may pass. */
const maxAttempts = 3;

/**
 * For `--once`: whether more waiting would change nothing. That is so when the node is ready, and also when what is
 * missing waits for somebody: a failed write, an image that is not there, one that failed three times, or no runtime
 * for 30 seconds. `elapsed` is the time since the start in milliseconds.
 */
export function isSettled(board: Board, elapsed: number): boolean {
  const { duty, config, credentials, images } = board;
  if (duty.state !== 'working') return duty.state === 'cleaned' || elapsed > patience;
  if (!config || !credentials) return false;
  if (images.runtime.state === 'none') return true;
  const waiting = images.images.filter(image => !isFinal(image));
  if (waiting.length === 0) return true;
  const stuck =
    images.runtime.state === 'unavailable' || waiting.every(({ failure }) => failure?.kind === 'disk');
  return stuck && elapsed > patience;
}

/** The exit status of `--once`: 0 if the node is ready, else 1. */
export function onceStatus(board: Board): number {
  return findReasons(board).length === 0 ? 0 : 1;
}

function isFinal({ warm, state, failure, nextAttemptAt, attempts }: ImageState): boolean {
  if (warm && state === 'present') return true;
  return failure !== null && state !== 'pulling' && (nextAttemptAt === null || attempts >= maxAttempts);
}
