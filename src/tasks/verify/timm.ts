import { z } from "zod";
import { FormatError, UsageError } from "../../errors.ts";
import { fromTorchLayout, torchShape } from "../../graph/torch-layout.ts";
import { checkDocument, parseJson } from "../../json-document.ts";
import type { NetworkOptions } from "../../models/registry.ts";
import { type Architecture, type ArchitectureName, architectureNamed, buildNetwork } from "../../models/registry.ts";
import { timmNames } from "../../models/timm-names.ts";
import { torchFormulaTensor } from "../../weights/formula.ts";
import type { Weights } from "../../weights/initialize.ts";
import { type Golden, goldenName } from "./golden.ts";
import { type Verification, type VerifyOptions, verifyNetwork } from "./verify.ts";

const row = z.array(z.number()).min(1).max(100_000);
const timmGoldenSchema = z.record(z.string(), z.object({ logits: z.array(row).min(1).max(256) }));

/** By timm's names of networks: what enters the softmax, for each image of the formula. */
export type TimmGolden = z.infer<typeof timmGoldenSchema>;

/** The size of images of a golden file that does not say it. */
const goldenShape = [101, 86, 3] as const;

/**
 * Reads a golden file of timm's networks.
 * @throws {FormatError} this is no JSON, or a field is missing or makes no sense; the message names it.
 */
export function parseTimmGolden(text: string, file: string): TimmGolden {
  const where = goldenName(file);
  return checkDocument(timmGoldenSchema, parseJson(text, where), where);
}

/**
 * Fills a network with weights from the formula, in timm's order and layout, and compares its logits with what timm
 * computed.
 * @param name of the network, which the golden file has, too.
 * @throws {UsageError} the file does not have this network.
 * @throws {FormatError} its logits are of different numbers of classes.
 */
export async function verifyTimm(
  golden: TimmGolden,
  file: string,
  name: ArchitectureName,
  options: VerifyOptions,
): Promise<Verification> {
  const where = goldenName(file);
  const logits = Object.hasOwn(golden, name) ? golden[name]!.logits : undefined;
  if (logits === undefined) {
    const names = Object.keys(golden).join(", ");
    throw new UsageError({ where, what: "the file does not have this network", received: name, expected: names });
  }
  const classes = logits[0]!.length;
  if (logits.some(({ length }) => length !== classes)) {
    throw new FormatError({ where: `${where}, field ${name}.logits`, what: "its rows are of different lengths" });
  }
  const { network: given, ...others } = options;
  const architecture = architectureNamed(name, {
    inputShape: goldenShape,
    ...given,
    classes,
    classifierActivation: "none",
  } satisfies NetworkOptions);
  const network = buildNetwork(architecture);
  const weights = timmFormulaWeights(architecture);
  return verifyNetwork(network, logitsAsTap(network.output, logits), file, { ...others, weights });
}

/** Our weights of a network of timm that the formula has filled. */
export function timmFormulaWeights(architecture: Architecture): Weights {
  const weights = timmNames(architecture).flatMap(({ name, weight }, index) => {
    if (weight === undefined) return [];
    const tensor = torchFormulaTensor(name, torchShape(weight), index);
    return [[weight.name, fromTorchLayout(weight, tensor)] as const];
  });
  return new Map(weights);
}

function logitsAsTap(layer: string, logits: readonly (readonly number[])[]): Golden {
  const values = logits.flat();
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  const shape = [logits.length, logits[0]!.length];
  return { taps: { [layer]: { shape, std, at: [...values.keys()], values } } };
}
