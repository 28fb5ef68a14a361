const unitMilliseconds = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/**
 * Parses a duration as Kubernetes writes it (`90s`, `10m`, `1h30m`, `1.5h`, `500ms`, `0`) into milliseconds.
 * Returns undefined for anything else, also for negative ones: none of our settings has a use for them.
 * The format is that of Go's time.ParseDuration without the units below a millisecond.
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(?:\d+(?:\.\d+)?(?:h|ms|m|s))+$/.test(text)) return undefined;
  let milliseconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)) {
    milliseconds += Number(amount) * unitMilliseconds[unit as keyof typeof unitMilliseconds];
  }
  return milliseconds;
}

/** Writes milliseconds for people, in at most two units: `350ms`, `4.2s`, `2m5s`, `1h3m`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)}ms`;
  if (milliseconds < 10_000) return `${(milliseconds / 1_000).toFixed(1)}s`;
  const seconds = Math.round(milliseconds / 1_000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return joinUnits(minutes, 'm', seconds % 60, 's');
  return joinUnits(Math.floor(minutes / 60), 'h', minutes % 60, 'm');
}

function joinUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return `${large}${largeUnit}${small > 0 ? `${small}${smallUnit}` : ''}`;
}
