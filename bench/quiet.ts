import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cpuTime } from './cpu-time.ts';
import { startImageAgent, untilWarm } from './image-agent.ts';
import { formatMilliseconds, printTable } from './table.ts';
import { createWarmContainerd } from './warm-containerd.ts';
import { publishAll, startWarmNode, type WarmNode } from './warm-node.ts';

const images = 10;
const quietMs = 60_000;

/** As many resyncs as a little more than an hour has: one each second stands for one each ten minutes, the default. */
const hourMs = 8_000;

/** What the agent may compute in a minute in which nothing happens, in milliseconds: half a percent of a CPU. */
const cpuAim = 300;

type Counted = { readonly pass: string; readonly requests: number };

/** Measures what the agent computes, and what it asks the registry for, while every image is there. */
export async function benchQuiet(directory: string, signal: AbortSignal): Promise<readonly string[]> {
  const node = await startWarmNode(join(directory, 'quiet'), createWarmContainerd);
  try {
    const recipes = Array.from({ length: images }, (_, number) => {
      return { repository: `team-a/quiet-${number}`, tag: 'v1', layers: [2 ** 10] };
    });
    const references = await publishAll(node, recipes, signal);
    await configure(node, references, {});
    const agent = await startImageAgent({ ...node, logFile: join(node.directory, 'log/agent.log') });
    try {
      return await watch(node, references, agent.pid, () => untilWarm(agent, images, 60_000), signal);
    } finally {
      await agent.stop();
    }
  } finally {
    await node.stop();
  }
}

async function watch(
  node: WarmNode,
  references: readonly string[],
  pid: number,
  untilAllThere: () => Promise<void>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const requestsDuring = async (step: () => Promise<unknown>) => {
    const before = await countRequests(node);
    await step();
    return (await countRequests(node)) - before;
  };
  const pause = (milliseconds: number) => delay(milliseconds, undefined, { signal });
  const pulling = await requestsDuring(untilAllThere);
  await pause(2_000); // what comes after a pull is no part of quiet
  const before = await cpuTime(pid);
  const quiet = await requestsDuring(() => pause(quietMs));
  const cpu = (await cpuTime(pid)) - before;
  await configure(node, references, { resync: '1s' });
  const hour = await requestsDuring(() => pause(hourMs));
  // That the agent does look meanwhile, and that its requests would be seen, is what this one shows.
  await configure(node, references, { resync: '1s' }, 'Always');
  const always = await requestsDuring(() => pause(hourMs));
  return judge(cpu, [
    { pass: `pulling ${images} images`, requests: pulling },
    { pass: 'a quiet minute', requests: quiet },
    { pass: 'a quiet hour', requests: hour },
    { pass: 'the same, pullPolicy: Always', requests: always },
  ]);
}

async function configure(
  node: WarmNode,
  references: readonly string[],
  pulls: { readonly resync?: string },
  pullPolicy = 'IfNotPresent',
): Promise<void> {
  const list = references.map(image => ({ image, pullPolicy }));
  await node.updateConfig({ images: list, pulls, disk: { keepFree: '1Gi' } });
}

/** How many requests the registry has had, refused ones as well. */
async function countRequests({ registry }: WarmNode): Promise<number> {
  const log = await readFile(registry.logFile, 'utf8');
  return new Set(log.match(/(?<=http\.request\.id=)[\w-]+/g)).size;
}

function judge(cpu: number, counted: readonly Counted[]): readonly string[] {
  printTable(`CPU of the running agent in a quiet minute, ${images} images: ${formatMilliseconds(cpu)}`, [
    [`requests seen by the registry (an hour is ${hourMs / 1_000} resyncs, a second apart)`, ''],
    ...counted.map(({ pass, requests }) => [pass, String(requests)]),
  ]);
  const [pulling = 0, minute = 0, hour = 0, always = 0] = counted.map(({ requests }) => requests);
  return [
    ...(cpu < cpuAim ? [] : [`a quiet minute costs ${formatMilliseconds(cpu)}, not under ${cpuAim} ms`]),
    ...(minute + hour === 0 ? [] : [`the registry was asked ${minute + hour} times for what is there`]),
    ...(pulling > 0 && always > 0
      ? []
      : ['no request was seen where there are some, so that none was seen elsewhere says nothing']),
  ];
}
