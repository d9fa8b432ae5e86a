import type { Shape } from "../tensor/shape.ts";
import type { Architecture } from "./architecture.ts";
import { type ArchitectureName, architectureNamed } from "./architecture-names.ts";

/** Number of blocks → name, for aligned networks with normalization after and before convolutions. */
const alignedByBlocks: Readonly<
  Record<number, readonly [after: ArchitectureName, before: ArchitectureName | undefined]>
> = {
  13: ["xception41", "xception41p"],
  21: ["xception65", "xception65p"],
  23: ["xception71", undefined],
};

/**
 * The network of timm that names and shapes of a `state_dict` belong to: which one, how many classes it tells apart – without
 * a classifier it gives feature maps – and how many channels its images have.
 * @param inputShape of images, which weights do not tell; default 299×299.
 * @returns undefined if it is none of them, or one of another width or depth.
 */
export function recognizeTimm(
  shapes: ReadonlyMap<string, Shape>,
  inputShape?: Shape,
): { readonly name: ArchitectureName; readonly architecture: Architecture } | undefined {
  const name = nameOf(shapes);
  const stem = shapes.get(name === "legacy_xception" ? "conv1.weight" : "stem.0.conv.weight");
  if (name === undefined || stem?.length !== 4) return undefined;
  const classifier = shapes.get(name === "legacy_xception" ? "fc.weight" : "head.fc.weight");
  const [height = 299, width = 299, channels = stem[1]!] = inputShape ?? [];
  const top = classifier === undefined ? { includeTop: false } : { classes: classifier[0]! };
  return { name, architecture: architectureNamed(name, { inputShape: [height, width, channels], ...top }) };
}

function nameOf(shapes: ReadonlyMap<string, Shape>): ArchitectureName | undefined {
  const hasFilters = (name: string, filters: number): boolean => shapes.get(name)?.[0] === filters;
  // Twelve blocks, of which the last one widens to 1024 channels.
  if (hasFilters("block1.rep.0.conv1.weight", 64)) {
    return hasFilters("block12.skip.weight", 1024) ? "legacy_xception" : undefined;
  }
  if (!hasFilters("stem.0.conv.weight", 32)) return undefined;
  const isPreActivated = shapes.has("blocks.0.norm.weight");
  const blocks = new Set([...shapes.keys()].flatMap((name) => /^blocks\.\d+\./.exec(name) ?? []));
  return alignedByBlocks[blocks.size]?.[isPreActivated ? 1 : 0];
}
