/** One of the classes of ImageNet. */
export interface ImagenetClass {
  /** Number of the noun in WordNet: `n01440764`. */
  readonly wordNetId: string;
  /** As keras.applications writes it: `great_white_shark`. Two pairs of classes share one: `crane` and `maillot`. */
  readonly name: string;
}

/** The 1000 classes of ImageNet (ILSVRC 2012), in the order of the networks' outputs; loaded on demand. */
export async function imagenetClasses(): Promise<readonly ImagenetClass[]> {
  const { imagenetClassList } = await import("./imagenet-class-list.js");
  let number = 0;
  return imagenetClassList
    .replaceAll("\n", "")
    .split(",")
    .map((entry) => {
      const [distance, name] = entry.split(" ") as [string, string];
      number += Number.parseInt(distance, 36);
      return { wordNetId: `n${String(number).padStart(8, "0")}`, name };
    });
}

/** The names of {@link imagenetClasses}; duplicates are followed by their WordNet number: `crane (n02012849)`. */
export async function imagenetLabels(): Promise<readonly string[]> {
  const classes = await imagenetClasses();
  const counts = new Map<string, number>();
  for (const { name } of classes) counts.set(name, (counts.get(name) ?? 0) + 1);
  return classes.map(({ wordNetId, name }) => (counts.get(name) === 1 ? name : `${name} (${wordNetId})`));
}
