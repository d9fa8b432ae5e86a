import { UsageError, VerificationError } from "../../../src/errors.ts";
import type { ArchitectureName } from "../../../src/models/registry.ts";
import type { Platform } from "../../../src/platform.ts";
import { readSource } from "../../../src/source.ts";
import { type VerifyFeaturesOptions, verifyFeatures } from "../../../src/tasks/verify/features.ts";
import { goldenName, parseGolden } from "../../../src/tasks/verify/golden.ts";
import { describeVerification } from "../../../src/tasks/verify/text.ts";
import { parseTimmGolden, verifyTimm } from "../../../src/tasks/verify/timm.ts";
import { type Verification, type VerifyOptions, verify } from "../../../src/tasks/verify/verify.ts";
import { type CliIo, writeJson } from "../io.ts";

interface GoldenOptions extends Omit<VerifyOptions, "platform"> {
  readonly architecture: ArchitectureName;
  readonly json: boolean;
  /** With real weights, and the photo that the golden values are of. */
  readonly real?: Pick<VerifyFeaturesOptions, "weights" | "allowMissing" | "image"> | undefined;
}

/**
 * Compares our network, with weights and images of the formula or real ones, with a golden file.
 * @throws {VerificationError} naming the first layer that differs, for there the cause is.
 */
export async function verifyGolden(
  file: string,
  { json, real, architecture, ...options }: GoldenOptions,
  platform: Platform,
  io: CliIo,
): Promise<void> {
  const text = new TextDecoder().decode(await readSource(file, platform));
  const all = { platform, ...options };
  const verifyXception = () =>
    real ? verifyFeatures(text, file, { ...all, ...real }) : verify(parseGolden(text, file), file, all);
  if (real && architecture !== "xception") {
    const expected = "--architecture xception with --weights";
    throw new UsageError({ where: "verify", what: "timm's values are of the formula's weights", expected });
  }
  const verification =
    architecture === "xception"
      ? await verifyXception()
      : await verifyTimm(parseTimmGolden(text, file), file, architecture, all);
  if (json) writeJson(io, verification);
  else io.stdout(`${describeVerification(verification, { width: io.columns ?? 100 })}\n`);
  assertNoDifference(verification, file);
}

function assertNoDifference({ taps, probabilities, tolerance }: Verification, file: string): void {
  const tap = taps.find(({ passed }) => !passed);
  if (tap) {
    const difference = Math.max(tap.difference, tap.statisticsDifference);
    throw new VerificationError({
      where: goldenName(file),
      what: `the network differs from "${tap.layer}" on`,
      received: difference,
      expected: `at most ${tolerance.taps} of its standard deviation`,
    });
  }
  if (probabilities?.passed === false) {
    throw new VerificationError({
      where: goldenName(file),
      what: "the network's probabilities differ",
      received: probabilities.difference,
      expected: `at most ${tolerance.probabilities}`,
    });
  }
}
