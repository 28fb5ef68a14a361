import { readFile } from 'node:fs/promises';

/** The whole machine's, also when it is read in a container. */
const pressureFile = '/proc/pressure/io';

/**
 * The share of the last ten seconds (0 to 1) in which something on the node waited for its disks; undefined where the
 * kernel does not tell (before 4.20, or without PSI). https://docs.kernel.org/accounting/psi.html
 */
export async function measureIoPressure(file = pressureFile): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const percent = /^some avg10=(\d+(?:\.\d+)?) /m.exec(text)?.[1];
  return percent === undefined ? undefined : Number(percent) / 100;
}
