import { UsageError } from "../errors.ts";
import { alignedVariants } from "./aligned-xception-options.ts";
import type { Architecture } from "./architecture.ts";
import { legacyXceptionOptions, type XceptionOptions } from "./xception-options.ts";

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

/** Options of `xception` that aligned networks have not. */
const onlyOfXception = [
  "variant",
  "fcUnits",
  "residual",
  "intermediateActivation",
  "middleFlowRepeats",
  "batchNormEpsilon",
  "poolPadding",
] as const satisfies (keyof XceptionOptions)[];

/**
 * The architecture of a name.
 * @throws {UsageError} an option is given that this network has not.
 */
export function architectureNamed(name: ArchitectureName, options: XceptionOptions = {}): Architecture {
  if (name === "xception") return { family: "xception", options };
  if (name === "legacy_xception") return { family: "xception", options: { ...legacyXceptionOptions, ...options } };
  for (const option of onlyOfXception) {
    if (options[option] === undefined) continue;
    throw new UsageError({
      where: `architecture "${name}"`,
      what: `it has no option "${option}"`,
      received: options[option],
      expected: 'this option with "xception" or "legacy_xception"',
    });
  }
  const variant = alignedVariants.find((each) => name === `xception${each}`)!;
  return { family: "aligned-xception", options: { ...options, variant } };
}
