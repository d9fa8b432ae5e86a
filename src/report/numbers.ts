import type { Interval } from "../base/significance.ts";

/** `22910480` → `"22,910,480"`. */
export function withCommas(value: number): string {
  return value.toLocaleString("en-US");
}

/** A number and its noun: `counted(1, "image")` → `"1 image"`, `counted(1200, "class", "classes")` → `"1,200 classes"`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${withCommas(count)} ${count === 1 ? noun : plural}`;
}

/** Three digits and a metric prefix: `8357403496` → `"8.36 G"`, `864` → `"864"`. */
export function withMetricPrefix(value: number): string {
  const threeDigits = (number: number) =>
    number.toLocaleString("en-US", { maximumSignificantDigits: 3, useGrouping: false });
  const power = [3, 2, 1].find((each) => value >= 1000 ** each);
  return power === undefined ? threeDigits(value) : `${threeDigits(value / 1000 ** power)} ${" kMG"[power]}`;
}

/** Memory as Keras writes it, 1 KB = 1024 B: `91641920` → `"87.40 MB"`. */
export function asMemory(bytes: number): string {
  const power = [4, 3, 2, 1].find((each) => bytes >= 1024 ** each) ?? 0;
  return `${(bytes / 1024 ** power).toFixed(2)} ${["B", "KB", "MB", "GB", "TB"][power]}`;
}

/** `0.8316` → `"83.2 %"`, with a no-break space. */
export function formatPercent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)}\u00a0%`;
}

/** A confidence interval of a fraction: `"80.1 to 86.2 %"`. */
export function formatInterval({ low, high }: Interval): string {
  return `${(100 * low).toFixed(1)} to ${formatPercent(high)}`;
}

/** `22910480` → `"22.9 M"`: three significant digits and a power of a thousand. */
export function formatRounded(count: number): string {
  return count.toLocaleString("en-US", { notation: "compact", maximumSignificantDigits: 3 });
}

/** `124.3` seconds → `"2 min 4 s"`; below a minute with one decimal, from an hour without seconds. */
export function formatDuration(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `0.0123456` → `"0.01235"`: four significant digits, for losses and rates. */
export function formatNumber(value: number): string {
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}
