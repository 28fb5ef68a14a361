/** Prints rows of equal length under a title, the first column to the left and the numbers to the right. */
export function printTable(title: string, rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)));
  console.log(title);
  for (const row of rows) {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    console.log(`  ${cells.join('   ')}`);
  }
  console.log('');
}

/** Milliseconds for a reader: three digits are what a measurement is worth. */
export function formatMilliseconds(milliseconds: number): string {
  return `${formatNumber(milliseconds)} ms`;
}

/** Memory for a reader, from MiB. */
export function formatMebibytes(mebibytes: number): string {
  return `${mebibytes.toFixed(0)} MiB`;
}

/** A ratio for a reader. */
export function formatRatio(ratio: number): string {
  return `x ${formatNumber(ratio)}`;
}

function formatNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
