import { type Command, Option } from "commander";
import { VerificationError } from "../../../src/errors.ts";
import { defaultTolerance, type Verification, verify } from "../../../src/tasks/verify.ts";
import { goldenName, parseGolden } from "../../../src/tasks/verify-golden.ts";
import type { VerifyLayout } from "../../../src/tasks/verify-graph.ts";
import { describeVerification } from "../../../src/tasks/verify-text.ts";
import { addCommand } from "../add-command.ts";
import { type CliIo, writeJson } from "../io.ts";
import { loadPlatform } from "../load-platform.ts";
import { addNetworkOptions, type NetworkFlags, xceptionOptionsOf } from "../network-options.ts";
import { positiveNumberOf } from "../values.ts";

interface VerifyFlags extends NetworkFlags {
  readonly golden: string;
  readonly tolerance?: number;
  readonly layout: VerifyLayout;
  readonly json?: boolean;
}

export function registerVerify(program: Command, io: CliIo): void {
  const command = addCommand(program, "verify", {
    description:
      "Compare a network with what Keras computed: both with weights and pictures from a formula (docs/fidelity.md). " +
      "What no flag says is read from the golden file's fields, its name (xception-paper-150x150-10.json) and its taps. " +
      "The exit code is 1 if they differ.",
    example: "xception verify --variant paper --golden tests/golden/xception-paper-150x150-10.json",
  })
    .requiredOption("--golden <file>", "values of another tool, as JSON")
    .option(
      "--tolerance <x>",
      `largest difference of a tap in units of its standard deviation (default: ${defaultTolerance.taps}); that of a ` +
        "probability is a tenth of it",
      positiveNumberOf("--tolerance"),
    )
    .addOption(
      new Option("--layout <name>", "inference: folded, as shipped; training: as in training steps")
        .choices(["inference", "training"])
        .default("inference"),
    );
  addNetworkOptions(command).action(async ({ golden: file, tolerance, layout, json, top, ...flags }: VerifyFlags) => {
    const platform = await loadPlatform();
    const golden = parseGolden(new TextDecoder().decode(await platform.readFile(file)), file);
    const verification = await verify(golden, file, {
      platform,
      // Without --no-top, the file says whether there is one.
      network: { ...xceptionOptionsOf(flags), ...(!top && { includeTop: false }) },
      layout,
      ...(tolerance !== undefined && { tolerance: { taps: tolerance, probabilities: tolerance / 10 } }),
    });
    if (json) writeJson(io, verification);
    else io.stdout(`${describeVerification(verification, { width: io.columns ?? 100 })}\n`);
    refuseDifference(verification, file);
  });
}

/** @throws {VerificationError} naming the first layer that differs, for there the cause is. */
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
