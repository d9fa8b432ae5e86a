/** `22910480` → `"22,910,480"`. */
export function withCommas(value: number): string {
  return value.toLocaleString("en-US");
}

/** Three digits and a prefix of the metric system: `8357403496` → `"8.36 G"`, `864` → `"864"`. */
export function withMetricPrefix(value: number): string {
  for (const [size, prefix] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (value >= size) return `${threeDigits(value / size)} ${prefix}`;
  }
  return threeDigits(value);
}

/** Memory as Keras writes it, 1 KB = 1024 B: `91641920` → `"87.40 MB"`. */
export function asMemory(bytes: number): string {
  let size = bytes;
  const units = ["B", "KB", "MB", "GB", "TB"];
  while (size >= 1024 && units.length > 1) {
    size /= 1024;
    units.shift();
  }
  return `${size.toFixed(2)} ${units[0]}`;
}

function threeDigits(value: number): string {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 3, useGrouping: false });
}
