import { inTurn } from './benchmark.ts';
import { benchPullMemory } from './pull-memory.ts';
import { createWarmDocker } from './warm-docker.ts';
import { benchWarmingOn } from './warming.ts';

/** What it costs to warm images on dockerd, and to follow its pulls. */
export const benchDocker = inTurn(benchWarmingOn(createWarmDocker), benchPullMemory);
