import { codeOf, Failure, messageOf } from './failure.ts';

const explanations: Readonly<Record<string, readonly [problem: string, advice: string]>> = {
  EACCES: ['permission denied', 'check the owner and mode of the path, and SELinux or AppArmor on the node'],
  EPERM: [
    'operation not permitted',
    'check for an immutable attribute (lsattr) and SELinux or AppArmor on the node',
  ],
  EROFS: ['the file system is read-only', 'mount it read-write, or remove this path from the config'],
  ENOSPC: ['no space or no inodes are left on the file system', 'free some (df -h, df -i)'],
  EDQUOT: ['the disk quota is used up', 'raise the quota or free some space'],
  EISDIR: ['it is a directory', 'move the directory away, so that a file can be there'],
  ENOTDIR: ['a part of the path is not a directory', 'check the path'],
  ENOENT: ['it does not exist', 'check the path and the mount'],
  EIO: ['the disk reports an input/output error', 'check the disk (dmesg)'],
  EBUSY: ['it is in use as a mount point', 'mount the directory that holds it instead of the single file'],
  ELOOP: ['too many symbolic links', 'check the links on the path'],
  ENAMETOOLONG: ['the path is too long', 'use a shorter path'],
};

/** Translates an error of the file system, with `tried` saying what was being done to which path. */
export function fileFailure(tried: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const [problem, advice] = explanations[codeOf(error) ?? ''] ?? [messageOf(error), undefined];
  return new Failure({ tried, problem, ...(advice && { advice }), cause: error });
}
