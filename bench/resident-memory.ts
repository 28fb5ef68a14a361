import { readFile } from 'node:fs/promises';

/** The memory of a process that is resident, in MiB, as the kernel counts it. */
export type ResidentMemory = {
  readonly all: number;
  /** What is no page of a file, such as the program itself; the others give way when memory is short. */
  readonly own: number;
};

/** What a process has now. */
export async function residentMemory(pid: number): Promise<ResidentMemory> {
  return { all: await readStatus(pid, 'VmRSS'), own: await readStatus(pid, 'RssAnon') };
}

/** The most that the process has had in its whole life so far, in MiB. */
export function peakMemory(pid: number): Promise<number> {
  return readStatus(pid, 'VmHWM');
}

async function readStatus(pid: number, field: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const [, kib] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
  if (kib === undefined) throw new Error(`the status of process ${pid} has no ${field}`);
  return Number(kib) / 1_024;
}
