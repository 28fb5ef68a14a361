import { readFile } from 'node:fs/promises';

/** The most memory that a process has had in its whole life so far, in MiB: what was resident, as the kernel counts it. */
export async function peakMemory(pid: number): Promise<number> {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1_024;
}
