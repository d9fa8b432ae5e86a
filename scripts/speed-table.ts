/** A result in `bench/results/`. */
export interface Measurement {
  readonly rows: readonly Row[];
}

type Row = Readonly<Record<string, string | number>>;

/** The README's table: how long others take for a task, as multiples of xception-ts, quickest first. */
export function speedTable(measurement: (name: string) => Measurement): readonly Row[] {
  const inference = measurement("inference").rows;
  const timesOurs = (row: Row): Row => ({ ...row, "× ours": 1 / Number(row["ours ÷ this"]) });
  const browser = measurement("browser")
    .rows.filter(({ engine }) => engine !== "ours, plain SIMD")
    .map(timesOurs);
  const int8 = measurement("quantize").rows.find(({ threads, weights }) => threads === 2 && weights === "8 bits")!;
  return [
    task(
      "1 image",
      inference.filter(({ images }) => images === 1),
      "engine",
    ),
    task(
      "8 images",
      inference.filter(({ images }) => images === 8),
      "engine",
    ),
    task("a training step of 8 images", measurement("peers").rows, "a training step"),
    {
      task: "1 image in int8, with VNNI",
      "others, × ours": `ours in float32 ${int8["times faster"]}`,
    },
    task(
      "1 image in Chromium",
      browser.filter(({ threads }) => threads === 2),
      "engine",
    ),
  ];
}

/** @param rows the first is ours. */
function task(name: string, [, ...others]: readonly Row[], column: string): Row {
  const ratio = (row: Row) => Number(row["× ours"]);
  const list = others.toSorted((a, b) => ratio(a) - ratio(b)).map((row) => `${row[column]} ${ratio(row).toFixed(2)}`);
  return { task: name, "others, × ours": list.join("; ") };
}
