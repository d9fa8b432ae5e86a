import { VerificationError } from "../../../src/errors.ts";
import type { Platform } from "../../../src/platform.ts";
import { type Verification, type VerifyOptions, verify } from "../../../src/tasks/verify.ts";
import { goldenName, parseGolden } from "../../../src/tasks/verify-golden.ts";
import { describeVerification } from "../../../src/tasks/verify-text.ts";
import { type CliIo, writeJson } from "../io.ts";

/**
 * Compares our network, with weights and pictures of the formula, with a golden file.
 * @throws {VerificationError} naming the first layer that differs, for there the cause is.
 */
export async function verifyGolden(
  file: string,
  options: Omit<VerifyOptions, "platform"> & { readonly json: boolean },
  platform: Platform,
  io: CliIo,
): Promise<void> {
  const golden = parseGolden(new TextDecoder().decode(await platform.readFile(file)), file);
  const verification = await verify(golden, file, { platform, ...options });
  if (options.json) writeJson(io, verification);
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
