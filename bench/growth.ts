import { formatRatio, printTable } from './table.ts';

/** The numbers of entries that costs are compared for. */
export const sizes = [10, 100, 1_000, 5_000] as const;

/** What something costs in milliseconds, for each of the sizes. */
export type Costs = { readonly name: string; readonly milliseconds: readonly number[] };

/** How many times as much per entry the last size may cost as the one before: what is above 1 is noise and caches. */
const growthAim = 1.5;

/**
 * Prints what an entry costs at each size, and how many times as much at the last size as at the one before it: 1 if
 * the cost grows as the entries do, 5 if it grows as their square. (In the smaller ones the fixed costs hide the growth.)
 * Returns what grows faster than the entries do.
 */
export function judgeGrowth(title: string, costs: readonly Costs[]): readonly string[] {
  printTable(`${title}: microseconds per entry`, [
    ['entries', ...sizes.map(String), 'growth'],
    ...costs.map(({ name, milliseconds }) => [
      name,
      ...perEntry(milliseconds).map(microseconds => microseconds.toPrecision(3)),
      formatRatio(growthOf(milliseconds)),
    ]),
  ]);
  return costs
    .filter(({ milliseconds }) => growthOf(milliseconds) > growthAim)
    .map(({ name, milliseconds }) => {
      const times = growthOf(milliseconds).toFixed(2);
      return `${name}: an entry costs ${times} times as much at ${sizes[3]} entries as at ${sizes[2]}, more than ${growthAim}`;
    });
}

function growthOf(milliseconds: readonly number[]): number {
  const [before = Number.NaN, last = Number.NaN] = perEntry(milliseconds).slice(-2);
  return last / before;
}

function perEntry(milliseconds: readonly number[]): readonly number[] {
  return sizes.map((size, index) => ((milliseconds[index] ?? Number.NaN) * 1_000) / size);
}
