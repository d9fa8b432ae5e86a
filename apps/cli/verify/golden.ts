import { VerificationError } from "../../../src/errors.ts";
import type { Platform } from "../../../src/platform.ts";
import { type Verification, type VerifyOptions, verify } from "../../../src/tasks/verify.ts";
import { type VerifyFeaturesOptions, verifyFeatures } from "../../../src/tasks/verify-features.ts";
import { goldenName, parseGolden } from "../../../src/tasks/verify-golden.ts";
import { describeVerification } from "../../../src/tasks/verify-text.ts";
import { type CliIo, writeJson } from "../io.ts";

interface GoldenOptions extends Omit<VerifyOptions, "platform"> {
  readonly json: boolean;
  /** With real weights, and the photo that the golden values are of. */
  readonly real?: Pick<VerifyFeaturesOptions, "weights" | "allowMissing" | "image"> | undefined;
}

/**
 * Compares our network, with weights and pictures of the formula or real ones, with a golden file.
 * @throws {VerificationError} naming the first layer that differs, for there the cause is.
 */
export async function verifyGolden(
  file: string,
  { json, real, ...options }: GoldenOptions,
  platform: Platform,
  io: CliIo,
): Promise<void> {
  const text = new TextDecoder().decode(await platform.readFile(file));
  const verification = real
    ? await verifyFeatures(text, file, { platform, ...options, ...real })
    : await verify(parseGolden(text, file), file, { platform, ...options });
  if (json) writeJson(io, verification);
  else io.stdout(`${describeVerification(verification, { width: io.columns ?? 100 })}\n`);
  refuseDifference(verification, file);
}

function refuseDifference({ taps, probabilities, tolerance }: Verification, file: string): void {
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
