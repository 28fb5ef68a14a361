import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileTree, readTree, writeTree } from './file-tree.ts';
import type { NodeKind } from './node-kinds.ts';
import { type Call, type Traced, type TracedRun, traceSteps } from './traced-steps.ts';
import { type Passwords, writeTarget } from './write-steps.ts';

/** What an agent does on a node when the fault comes. */
export type Move = {
  /** A directory for the nodes that are made. */
  readonly directory: string;
  readonly program: string;
  readonly node: NodeKind;
  /** What an agent before it wrote; null: there was none. */
  readonly before: Passwords | null;
  /** What it writes; null: it cleans. */
  readonly after: Passwords | null;
};

/** The move without a fault: the node and the state directory before and after it, and its calls. */
export type WholeMove = {
  readonly before: FileTree;
  readonly after: FileTree;
  readonly calls: readonly Call[];
};

/** What a fault came to: the node is in `directory`. */
export type Faulted = { readonly directory: string; readonly call: Call; readonly run: TracedRun };

/** Has the move made once without a fault, to see what it comes to and by which calls. */
export async function makeWhole(move: Move): Promise<WholeMove> {
  const directory = await mkdtemp(join(move.directory, 'whole-'));
  const { path, original } = move.node;
  await writeTree(directory, original);
  if (move.before) await writeTarget({ directory, path, passwords: move.before });
  const before = await readTree(directory);
  const { status, calls, output } = await traceSteps(traced(move, directory));
  assert.equal(status, 0, output);
  return { before, after: await readTree(directory), calls: calls.filter(isAnother) };
}

/**
 * Makes the node as it was before the move, has the move made with a fault at one of its calls, and has checked what
 * that came to; for each of the calls, two at a time. Returns in words where the faults were.
 */
export async function faultAtEveryCall(
  move: Move,
  { before, calls }: WholeMove,
  what: 'signal=KILL' | 'error=EIO',
  check: (faulted: Faulted) => Promise<void>,
): Promise<readonly string[]> {
  const left = [...calls];
  const points: string[] = [];
  const lane = async () => {
    const directory = await mkdtemp(join(move.directory, 'faulty-'));
    for (let call = left.shift(); call; call = left.shift()) {
      const point = `${call.name} ${call.about}`;
      try {
        const given = traced(move, directory);
        const isReported = what !== 'signal=KILL' && given.move === 'write';
        const fault = { call, what };
        const run = await meet(call, before, { ...given, ...(isReported && { move: 'report' }), fault });
        await check({ directory, call, run });
      } catch (cause) {
        left.length = 0;
        throw new Error(`with ${what} at ${point} (${call.number})`, { cause });
      }
      points.push(point);
    }
  };
  await Promise.all([lane(), lane()]);
  return points;
}

function traced({ program, node, after }: Move, directory: string): Traced {
  const steps = { directory, path: node.path, passwords: after ?? {} };
  return { program, move: after ? 'write' : 'clean', steps };
}

/** Runs the move until the fault comes where it should. */
async function meet(call: Call, before: FileTree, given: Traced): Promise<TracedRun> {
  for (let attempt = 1; ; attempt++) {
    await writeTree(given.steps.directory, before);
    const run = await traceSteps(given);
    const met = run.calls.find(({ isFaulty }) => isFaulty) ?? run.calls.at(-1);
    if (met?.name === call.name && met.about === call.about && met.number === call.number) return run;
    // The thread also writes to wake the main one, and spares that where it is awake: then another write is met.
    assert.ok(attempt < 10, `the fault came at ${met?.name} ${met?.about}; ${run.status} ${run.output}`);
  }
}

const looks = ['readlink', 'statx', 'newfstatat', 'getdents64'];

/** Of calls that only look, one after the other, only the first is taken: nothing changes between them. */
function isAnother({ name }: Call, index: number, calls: readonly Call[]): boolean {
  return !(looks.includes(name) && looks.includes(calls[index - 1]?.name ?? ''));
}
