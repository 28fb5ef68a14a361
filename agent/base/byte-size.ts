const units: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** Parses a Kubernetes quantity of bytes (`500Mi`, `20G`, `1048576`) or returns undefined, also for one beyond all numbers. */
export function parseByteSize(text: string): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)([A-Za-z]{0,2})$/.exec(text) ?? [];
  const factor = unit === undefined || !Object.hasOwn(units, unit) ? undefined : units[unit];
  const bytes = factor === undefined ? undefined : Math.round(Number(amount) * factor);
  return Number.isFinite(bytes) ? bytes : undefined;
}

/** Writes bytes for people, in powers of 1000 as registries and disks count: `512 B`, `4.2 kB`, `98.6 MB`. */
export function formatByteSize(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const steps = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = '';
  for (const step of steps) {
    if (value < 999.95) break;
    value /= 1000;
    unit = step;
  }
  return `${value.toFixed(1)} ${unit}`;
}
