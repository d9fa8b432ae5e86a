import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { layerRules } from "../src/formats/keras/layer-rules.ts";
import { builtProgram } from "./build.mjs";
import { fenced, type Generator, markdownTable, shorten } from "./generated-blocks.ts";
import { root } from "./project-root.mjs";
import { recordSession } from "./recorded-session.ts";
import { recipeTable, settingsTable } from "./settings-tables.ts";
import { type Measurement, speedTable } from "./speed-table.ts";

/** The documents whose blocks are generated. */
export const documents = [
  "README.md",
  "ARCHITECTURE.md",
  "docs/README.md",
  "docs/browser.md",
  "docs/data.md",
  "bench/README.md",
  "docs/recipes.md",
  "docs/scale-out.md",
  ...["keras", "onnx", "tfjs", "timm"].map((source) => `docs/sources/${source}.md`),
];

/** How each kind of block is made; a test holds the documents to it. */
export const generators = {
  /** A file of examples/, which a test runs. */
  example: (file) => fenced("ts", readFileSync(join(root, "examples", file), "utf8")),
  /** What a command prints: `xception cost`. */
  output: (command) => {
    const [, ...flags] = command.split(" ");
    const printed = execFileSync(process.execPath, [builtProgram(root), ...flags], { encoding: "utf8" });
    return fenced("console", `$ npx xception-ts ${flags.join(" ")}\n${shorten(printed, { first: 5, last: 4 })}`);
  },
  /** What the commands after each `$` print in a folder with these files of tests/golden/, or of ../shared/. */
  session: (files, current) => recordSession(files.split(" "), current),
  /** The rows of a measurement in bench/results/. */
  bench: (name) => markdownTable(measurement(name).rows),
  /** One table of measurements against other tools. */
  speed: () => markdownTable(speedTable(measurement)),
  /** The settings under one heading. */
  settings: settingsTable,
  /** The layers of Keras that are read. */
  layers: () => Object.keys(layerRules).join(", "),
  /** A recipe, line by line, with its reasons. */
  recipe: recipeTable,
  /** What a command printed on some machine, some day: written by hand. */
  recorded: (_, current) => current,
} satisfies Record<string, Generator>;

function measurement(name: string): Measurement {
  return JSON.parse(readFileSync(join(root, "bench", "results", `${name}.json`), "utf8"));
}
