import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BenchNode } from './bench-node.ts';

const changing =
  /^\d+ +(?:write|pwrite|ftruncate|truncate|rename|unlink|link|symlink|mkdir|rmdir|chmod|fchmod|chown|fchown|utime)\w*\(/;
const opening = /^\d+ +open(?:at)?\(/;
const syncing = /^\d+ +(?:fsync|fdatasync|sync_file_range|syncfs|sync)\(/;

/** What a traced agent did to the node's files. */
export type SystemCalls = {
  /** Reads of the Secret's document. */
  readonly looks: number;
  /** Calls that change a file or a directory of the node, and files opened to be written. */
  readonly writes: number;
  /** Calls that make something durable, wherever it is. */
  readonly syncs: number;
};

/** The command under which the agent's calls are recorded; strace stands beside it, so that the agent is the child. */
export function traceCommand(node: BenchNode): readonly string[] {
  const calls =
    '%file,write,pwrite64,writev,pwritev,pwritev2,ftruncate,fchmod,fchown,fsync,fdatasync,sync_file_range,sync,syncfs';
  return ['strace', '-D', '-f', '-y', '-qq', '--seccomp-bpf', `--trace=${calls}`, '-o', logOf(node)];
}

/** Counts the calls recorded so far. */
export async function countSystemCalls(node: BenchNode): Promise<SystemCalls> {
  const lines = (await readFile(logOf(node), 'utf8')).split('\n').filter(line => !line.includes(' resumed>'));
  const onNode = lines.filter(line => line.includes(node.hostRoot));
  const opened = onNode.filter(line => opening.test(line) && /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC/.test(line));
  return {
    looks: lines.filter(line => opening.test(line) && line.includes('/.dockerconfigjson"')).length,
    writes: onNode.filter(line => changing.test(line)).length + opened.length,
    syncs: lines.filter(line => syncing.test(line)).length,
  };
}

/** What was done between two counts. */
export function callsBetween(before: SystemCalls, after: SystemCalls): SystemCalls {
  return {
    looks: after.looks - before.looks,
    writes: after.writes - before.writes,
    syncs: after.syncs - before.syncs,
  };
}

function logOf({ directory }: BenchNode): string {
  return join(directory, 'system-calls');
}
