import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { dockerConfigJson } from '../test/sandbox/docker-config.ts';
import { updateKubeletVolume } from '../test/sandbox/kubelet-volume.ts';
import type { Program } from '../test/sandbox/program.ts';
import { waitUntil } from '../test/sandbox/wait-until.ts';
import { cpuTime } from './cpu-time.ts';
import { startImageAgent, untilWarm } from './image-agent.ts';
import { type ListingRuntime, serveListing } from './listing-runtime.ts';
import { peakMemory } from './resident-memory.ts';
import { formatMebibytes, formatMilliseconds, printTable } from './table.ts';

const counts = [10, 100, 1_000] as const;

/** How many passes the CPU is taken over, about a second each. */
const passes = 10;

/** What one pass over the largest number of images may cost, in milliseconds of CPU. */
const cpuAim = 100;

type Cost = { readonly images: number; readonly cpu: number; readonly memory: number };

/** Measures the CPU of one pass over images that are all present, on a node that has no others. */
export async function benchPasses(directory: string, signal: AbortSignal): Promise<readonly string[]> {
  const costs: Cost[] = [];
  for (const count of counts) costs.push(await costOfPass(join(directory, `passes-${count}`), count, signal));
  printTable(`CPU of the running agent for one pass over images that are all there (mean of ${passes})`, [
    ['images', 'CPU', 'peak memory'],
    ...costs.map(({ images, cpu, memory }) => [
      String(images),
      formatMilliseconds(cpu),
      formatMebibytes(memory),
    ]),
  ]);
  return costs
    .filter(({ cpu }) => cpu >= cpuAim)
    .map(
      ({ images, cpu }) =>
        `a pass over ${images} images costs ${formatMilliseconds(cpu)}, not under ${cpuAim} ms`,
    );
}

async function costOfPass(directory: string, count: number, signal: AbortSignal): Promise<Cost> {
  const hostRoot = join(directory, 'host');
  const runtime = await serveListing(join(hostRoot, 'run/containerd/containerd.sock'), count);
  try {
    const agent = await startOn(directory, runtime);
    try {
      await untilWarm(agent, count, 20_000);
      await delay(2_000, undefined, { signal }); // what comes after a start is no part of a pass
      const cpu = await cpuOfPass(agent, runtime, signal);
      return { images: count, cpu, memory: await peakMemory(agent.pid) };
    } finally {
      await agent.stop();
    }
  } finally {
    await runtime.close();
  }
}

/** Starts an agent that looks at all images every second. */
async function startOn(directory: string, { references }: ListingRuntime): Promise<Program> {
  const [config, secretsDir] = [join(directory, 'config'), join(directory, 'secrets')];
  const login = { registry: 'registry.example.com', user: 'team-a', password: 'a-word' };
  await mkdir(config);
  await updateKubeletVolume(join(secretsDir, 'team-a'), { '.dockerconfigjson': dockerConfigJson(login) });
  const images = references.map(image => ({ image }));
  const settings = { pulls: { resync: '1s' }, disk: { keepFree: '1Gi' } };
  await updateKubeletVolume(config, { 'config.yaml': stringify({ images, ...settings }) });
  return await startImageAgent({
    hostRoot: join(directory, 'host'),
    secretsDir,
    configFile: join(config, 'config.yaml'),
    logFile: join(directory, 'agent.log'),
  });
}

/** From just after a pass to just after a later one; what the agent does anyhow in between is in it. */
async function cpuOfPass({ pid }: Program, { listed }: ListingRuntime, signal: AbortSignal): Promise<number> {
  const afterPass = async (number: number) => {
    await waitUntil(() => listed() >= number, { what: 'another pass', timeoutMs: 60_000 });
    await delay(200, undefined, { signal });
    return { cpu: await cpuTime(pid), listed: listed() };
  };
  const start = await afterPass(listed() + 1);
  const end = await afterPass(start.listed + passes);
  return (end.cpu - start.cpu) / (end.listed - start.listed);
}
