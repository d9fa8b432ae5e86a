import { VerificationError } from "../../../src/errors.ts";
import type { Platform } from "../../../src/platform.ts";
import { type ModelVerification, type VerifyModelOptions, verifyModel } from "../../../src/tasks/verify/model.ts";
import { describeModelVerification } from "../../../src/tasks/verify/model-text.ts";
import { type CliIo, writeJson } from "../io.ts";

/**
 * Compares what the runtimes of this machine make of a model with a reference.
 * @throws {VerificationError} naming the runtime and the first block that differ.
 */
export async function verifyModelFile(
  model: string,
  options: Omit<VerifyModelOptions, "platform"> & { readonly json: boolean },
  platform: Platform,
  io: CliIo,
): Promise<void> {
  const verification = await verifyModel(model, { platform, ...options });
  if (options.json) writeJson(io, verification);
  else io.stdout(`${describeModelVerification(verification, { width: io.columns ?? 100 })}\n`);
  assertNoDifference(verification);
}

function assertNoDifference({ model, runtimes, tolerance }: ModelVerification): void {
  for (const { runtime, blocks, probabilities, file } of runtimes) {
    const where = `model ${JSON.stringify(model)} on ${runtime}`;
    const block = blocks.find(({ passed }) => !passed);
    if (block) {
      throw new VerificationError({
        where,
        what: `it differs from the reference from "${block.layer}" on`,
        received: block.difference,
        expected: `at most ${tolerance.taps} of its standard deviation`,
      });
    }
    const end = [probabilities, file].find((each) => each?.passed === false);
    if (!end) continue;
    throw new VerificationError({
      where,
      what: `the probabilities${end === file ? " of the file's own graph" : ""} differ from the reference`,
      received: end.difference,
      expected: `at most ${tolerance.probabilities}`,
    });
  }
}
