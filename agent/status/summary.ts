import { formatByteSize } from '../base/byte-size.ts';
import { formatDuration } from '../base/duration.ts';
import type { ImageStatus, Status } from './status.ts';

/** What `--once` prints at its end: the node in a few lines that can be read on a terminal of 80 columns and more. */
export function formatSummary(status: Status): string {
  const { node, ready, reasons, notes, images, credentials, runtime } = status;
  const lines = [
    '',
    `${node} is ${ready ? 'ready' : 'NOT ready'}`,
    '',
    'Credentials',
    ...columns(credentials.targets.map(target => [target.path, target.state, describeTarget(target)])),
    ...(credentials.targets.length === 0 ? ['  no file is written'] : []),
    '',
    'Images',
    ...columns(images.map(image => [shorten(image.image), image.state, describeImage(image)])),
    ...(images.length === 0 ? ['  none are listed'] : []),
    ...(runtime.state === 'connected' ? ['', 'Runtime', ...describeRuntime(runtime)] : []),
    ...section('Why not', reasons),
    ...section('Worth knowing', notes),
    '',
  ];
  return `${lines.join('\n')}\n`;
}

/** One line on the pulls that are under way, for the bottom of a terminal; empty if there are none. */
export function formatProgress(images: readonly ImageStatus[]): string {
  const pulling = images.filter(({ state }) => state === 'pulling');
  if (pulling.length === 0) return '';
  const present = images.filter(({ state }) => state === 'present').length;
  const parts = pulling.map(({ image, bytesDone, bytesTotal }) => {
    const name = shorten(image.slice(image.lastIndexOf('/') + 1));
    if (bytesTotal === null) return `${name} ...`;
    const share = Math.floor((100 * bytesDone) / Math.max(1, bytesTotal));
    return `${name} ${bar(share)} ${share}% of ${formatByteSize(bytesTotal)}`;
  });
  return `${present}/${images.length} images, pulling ${parts.join(', ')}`;
}

/** A digest is told apart by its first digits; the whole of it would fill the line. */
function shorten(image: string): string {
  return image.replace(/(@[a-z0-9]+:[0-9a-f]{12})[0-9a-f]+$/, '$1...');
}

function bar(share: number): string {
  const filled = Math.round(share / 10);
  return `[${'#'.repeat(filled)}${'.'.repeat(10 - filled)}]`;
}

function describeTarget({ managed, foreign, problem }: Status['credentials']['targets'][number]): string {
  if (problem) return '';
  return `${managed} of ours${foreign > 0 ? `, ${foreign} of others` : ''}`;
}

function describeImage({ state, bytesTotal, durationMs, reason }: ImageStatus): string {
  if (state === 'present' && durationMs !== null) {
    return `pulled${bytesTotal === null ? '' : ` ${formatByteSize(bytesTotal)}`} in ${formatDuration(durationMs)}`;
  }
  return state === 'present' ? 'was there' : (reason ?? '');
}

/** On two lines, because what was passed over makes the reason long. */
function describeRuntime({ name, version, endpoint, reason }: Status['runtime']): readonly string[] {
  return [`  ${name} ${version} at ${endpoint}`, `  because ${reason}`];
}

function section(heading: string, items: readonly string[]): readonly string[] {
  return items.length > 0 ? ['', heading, ...items.map(item => `  - ${item}`)] : [];
}

function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const width = (column: number) => Math.max(0, ...rows.map(row => row[column]?.length ?? 0));
  const widths = [width(0), width(1)];
  return rows.map(row =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}
