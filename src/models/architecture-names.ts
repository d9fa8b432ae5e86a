import { UsageError } from "../errors.ts";
import { alignedVariants, completeAlignedOptions } from "./aligned-xception-options.ts";
import type { Architecture } from "./architecture.ts";
import { completeOptions, legacyXceptionOptions, type XceptionOptions } from "./xception-options.ts";

/** Names of the networks there are; all but the first one are timm's. */
export const architectureNames = [
  "xception",
  "legacy_xception",
  "xception41",
  "xception65",
  "xception71",
  "xception41p",
  "xception65p",
] as const;
export type ArchitectureName = (typeof architectureNames)[number];

/** Options of `xception` that aligned networks have not, unless as they are by default. */
const onlyOfXception = [
  "variant",
  "fcUnits",
  "residual",
  "intermediateActivation",
  "middleFlowRepeats",
  "batchNormEpsilon",
  "poolPadding",
] as const satisfies (keyof XceptionOptions)[];

/** What `architectureNamed` makes it from; undefined for lists of layers. */
export function nameOfArchitecture(architecture: Architecture): ArchitectureName | undefined {
  if (architecture.family === "layers") return undefined;
  if (architecture.family === "aligned-xception")
    return `xception${completeAlignedOptions(architecture.options).variant}`;
  const { batchNormEpsilon, poolPadding } = completeOptions(architecture.options);
  const isLegacy =
    batchNormEpsilon === legacyXceptionOptions.batchNormEpsilon && poolPadding === legacyXceptionOptions.poolPadding;
  return isLegacy ? "legacy_xception" : "xception";
}

/**
 * The architecture of a name.
 * @throws {UsageError} an option is given that this network has not.
 */
export function architectureNamed(name: ArchitectureName, options: XceptionOptions = {}): Architecture {
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as XceptionOptions;
  if (name === "xception") return { family: "xception", options: given };
  if (name === "legacy_xception") return { family: "xception", options: { ...legacyXceptionOptions, ...given } };
  const complete = completeOptions(given);
  const defaults = completeOptions({});
  for (const option of onlyOfXception) {
    if (JSON.stringify(complete[option]) === JSON.stringify(defaults[option])) continue;
    throw new UsageError({
      where: `architecture "${name}"`,
      what: `it has no option "${option}"`,
      received: complete[option],
      expected: 'this option with "xception" or "legacy_xception"',
    });
  }
  const variant = alignedVariants.find((each) => name === `xception${each}`)!;
  const shared = Object.entries(given).filter(([option]) => !onlyOfXception.some((each) => each === option));
  return { family: "aligned-xception", options: { ...Object.fromEntries(shared), variant } };
}
