import { mkdir } from "node:fs/promises";
import { type Command, Option } from "commander";
import { describeComparison } from "../../../src/report/comparison.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { recipeNames } from "../../../src/train/settings/recipes.ts";
import { type SettingName, settingGroups, settings } from "../../../src/train/settings/settings.ts";
import { assertSameComparison, compareNetworks, comparisonFiles } from "../compare/comparison.ts";
import { ablations, matches } from "../compare/networks.ts";
import { type CompareFlags, comparisonRequest } from "../compare/request.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addHelp, countOf, deviceOption, givenFlags } from "../options.ts";
import { addSettingOptions } from "../setting-options.ts";
import { required } from "../train/flags.ts";
import { acquireLock } from "../train/run-lock.ts";

/** Settings that a comparison decides. */
const decided: readonly SettingName[] = [
  "val",
  "test",
  "temperature",
  "keep",
  "seed",
  "weightsSeed",
  "patience",
  "maxMinutes",
  "architecture",
];

export default function registerCompare(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "A network is an architecture with any flags of `xception train`, in quotes. Flags outside of quotes apply to all. " +
      "The test images choose nothing: the weights are those of the last epoch. After an interruption, run the same " +
      "command again.",
    examples: [
      "xception compare xception inception-v3 --data photos --seeds 3 -o comparison",
      "xception compare --ablation residual --data photos --width 0.25 --epochs 20 -o ablation",
    ],
  });
  command
    .option("--data <folder>", "training images, one subfolder per class")
    .option("--test <folder>", "test images of the same classes (default: 20 % of --data, another for each seed)")
    .option("-o, --output <folder>", "where to write the report and the runs")
    .option("--seeds <n>", "runs of each network (default: 3)", countOf("--seeds", { to: 100 }))
    .addOption(
      new Option(
        "--match <what>",
        "what is made equal, by the width or the epochs of the others (default: epochs)",
      ).choices(matches),
    )
    .addOption(
      new Option("--ablation <name>", "networks of one of the paper's ablations").choices(Object.keys(ablations)),
    )
    .option("--demo", "compare on emoji, in about a quarter of an hour on two cores")
    .addOption(deviceOption())
    .option("--threads <n>", "threads of the engine (default: one for each core)", countOf("--threads", { to: 256 }))
    .option("--recipe <name>", `preset settings: ${recipeNames.join(", ")}`)
    .option("--config <file>", "settings as YAML or JSON, e.g. the settings.yaml of a run");
  for (const { title, names } of settingGroups) {
    const shown = names.filter((name) => !decided.includes(name));
    addSettingOptions(command, Object.fromEntries(shown.map((name) => [name, settings[name]])), title);
  }
  // The place and form of the output do not change the comparison.
  const words = givenFlags(command, ["--json", "--output"]);
  command.action(async (networks: readonly string[], flags: CompareFlags) => {
    const output = required(flags.output, "option --output", "a folder for the comparison, e.g. -o comparison");
    const request = await comparisonRequest(networks, { ...flags, output }, words, io);
    await mkdir(output, { recursive: true });
    const release = await acquireLock(output, (text) => io.stderr(`${text}\n`));
    try {
      await assertSameComparison(output, request.command);
      const comparison = await compareNetworks(request, nodePlatform, io);
      if (flags.json) writeJson(io, comparison);
      else io.stdout(`\n${describeComparison(comparison, { width: io.columns ?? 100 })}\n`);
      io.stderr(`\nWrote ${Object.values(comparisonFiles).join(", ")} into ${output}\n`);
    } finally {
      await release();
    }
  });
}
