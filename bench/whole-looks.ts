import { join } from 'node:path';
import { makeNode, startAgent } from './bench-node.ts';
import { type Costs, judgeGrowth, sizes } from './growth.ts';
import { costsOfLooks } from './look-cost.ts';
import { median } from './percentile.ts';
import { makeDocument } from './secret.ts';

const rotations = 5;

/** Measures the CPU that the running agent takes for one rotation, for documents of 10 to 5,000 entries. */
export async function benchWholeLooks(directory: string, signal: AbortSignal): Promise<readonly string[]> {
  const node = await makeNode(join(directory, 'whole-looks'));
  const agent = await startAgent(node);
  try {
    const medians: number[] = [];
    for (const size of sizes) {
      const documents = Array.from({ length: rotations }, () => makeDocument(size).text);
      // The first one also adds and removes entries, which the others do not.
      const [, ...costs] = await costsOfLooks({ agent, node, signal }, documents);
      medians.push(median(costs));
    }
    const costs: Costs = { name: 'all of a rotation', milliseconds: medians };
    return judgeGrowth('CPU of the running agent', [costs]);
  } finally {
    await agent.stop();
  }
}
