import { readdir, readFile } from 'node:fs/promises';

/** The milliseconds that all threads of a process have computed so far, as the kernel's scheduler counts them. */
export async function cpuTime(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const times = await Promise.all(
    threads.map(async thread => {
      const [nanoseconds] = (await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')).split(' ');
      return Number(nanoseconds);
    }),
  );
  return times.reduce((sum, time) => sum + time, 0) / 1e6;
}
