import { inTurn } from './benchmark.ts';
import { benchPasses } from './passes.ts';
import { benchQuiet } from './quiet.ts';
import { createWarmContainerd } from './warm-containerd.ts';
import { benchWarmingOn } from './warming.ts';

/** What it costs to warm images on containerd, to find them all there, and to wait. */
export const benchImages = inTurn(benchWarmingOn(createWarmContainerd), benchPasses, benchQuiet);
