import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { printable } from "../../src/base/printable.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { layersOf, networkOfLayers } from "../../src/models/layer-list.ts";
import { textTable } from "../../src/report/text.ts";
import { smallModel } from "../model/small-model.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

/** All that a terminal would obey, or that changes the order of a line. */
const dangerous = /[^\P{Cc}\n\t]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
/** Sets the title of a terminal, moves its cursor, hides what follows, turns text around, begins a line of its own. */
const attacks = [
  "\u001b]0;owned\u0007",
  "\u001b[2A",
  "\u009b8m",
  "\u202ecod.exe",
  "\r",
  "\u007f",
  "\u2066",
  "\nerror: forged",
];

let folder: string;
const at = (...parts: string[]) => join(folder, ...parts);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-printable-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A model whose name, layers, labels, license and provenance end in `suffix`. */
function hostileModel(suffix: string): Uint8Array {
  const model = smallModel();
  const renamed = (name: string) => `${name}${suffix}`;
  const { layers, ...list } = layersOf(model.network);
  const architecture = {
    ...{ family: "layers" as const, name: renamed("net"), seed: list.seed, output: renamed(list.output) },
    layers: layers.map((layer) => ({
      ...{ ...layer, name: renamed(layer.name) },
      inbound: layer.inbound.map(renamed),
    })),
  };
  const weights = new Map(
    [...model.weights].map(([name, tensor]) => [`${renamed(name.split("/")[0]!)}/${name.split("/")[1]}`, tensor]),
  );
  return encodeModel({
    ...{ architecture, network: networkOfLayers(architecture), weights, preprocessing: model.preprocessing },
    ...{ labels: model.labels.map(renamed), license: renamed("CC0"), provenance: { [renamed("by")]: renamed("me") } },
  });
}

it("writes no control or bidirectional character from names in files, whatever the command", async () => {
  const suffix = fc.array(fc.constantFrom(...attacks, "a", "é", "貓"), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(suffix, async (parts) => {
      const evil = parts.join("");
      await rm(at("."), { recursive: true });
      await mkdir(at("photos"), { recursive: true });
      await writeImages(at("plain"), 2, 1);
      for (const name of ["blue", "red"]) await cp(at("plain", name), at("photos", name + evil), { recursive: true });
      await writeFile(at("photos", `red${evil}`, `broken${evil}.png`), "no image");
      await writeFile(at(`model${evil}.onnx`), hostileModel(evil));
      await writeFile(at("settings.yaml"), `${JSON.stringify(`epochs${evil}`)}: 3\n`);
      await writeFile(at("golden.json"), JSON.stringify({ [`taps${evil}`]: 1 }));
      await writeFile(at("labels.txt"), [..."abc"].map((letter) => `${letter}${evil.replaceAll("\n", "")}`).join("\n"));
      const model = at(`model${evil}.onnx`);
      const photo = at("photos", `red${evil}`, "0.png");
      const train = ["train", at("photos"), "-o", at(`run${evil}`), ...smallTraining, "--epochs", "1"];
      const commands = [
        ["summary", model],
        ["cost", model],
        ["plot", model, "-o", at(`plot${evil}.dot`)],
        ["plot", model, "-o", at(`plot${evil}.gif`)],
        ["classify", model, at("photos"), at("photos", `none${evil}`)],
        ["classify", model, photo, "--labels", at("labels.txt")],
        ["evaluate", model, at("photos"), "--csv", at("e.csv")],
        ["embed", model, at("photos"), "-o", at("e.json")],
        ["search", photo, at("e.json")],
        ["search", at(`none${evil}`), at("e.json")],
        ["convert", model, at(`out${evil}.keras`)],
        ["convert", model, at(`out${evil}.keras`)],
        ["verify", model, "--runtimes", "cpu"],
        ["verify", "--golden", at("golden.json")],
        ["verify", model, "--reference", at(`none${evil}.json`)],
        train,
        [...train, "--config", at("settings.yaml")],
        ["train", at("photos"), "--print-config", "--val", at(`val${evil}`)],
        ["report", at(`run${evil}`)],
        ["report", at("photos")],
        ["doctor", `--json${evil}`],
        ["demo", "-o", at("photos")],
        [`unknown${evil}`],
      ];
      for (const command of commands) {
        const { stdout, stderr } = await capture(command);
        expect(`${stdout}${stderr}`, command[0]).not.toMatch(dangerous);
        expect(stdout, command[0]).not.toMatch(/^error: forged/m);
      }
      const { stdout } = await capture(["classify", model, photo, "--json"]);
      expect(stdout).not.toMatch(dangerous);
      const [{ file, predictions }] = JSON.parse(stdout);
      expect(file).toBe(photo);
      expect(predictions.map(({ label }: { label: string }) => label).sort()).toEqual(
        ["cat", "dog", "owl"].map((name) => name + evil),
      );
    }),
    { numRuns: 3 },
  );
});

it("lets the progress bar move the cursor", async () => {
  await writeImages(at("bar"), 2, 1);
  await writeFile(at("plain.onnx"), encodeModel(smallModel()));
  const { stderr } = await capture(["embed", at("plain.onnx"), at("bar"), "-o", at("bar.csv")], { isTTY: true });
  expect(stderr).toContain("\u001b[");
});

it("escapes names in errors and texts of the library", () => {
  const name = "a\u001b]0;x\u0007\u202e";
  expect(new FormatError({ where: `file ${name}`, what: name, received: name, remedy: name }).message).toBe(
    String.raw`file a\u001b]0;x\u0007\u202e: a\u001b]0;x\u0007\u202e; received "a\u001b]0;x\u0007\u202e". a\u001b]0;x\u0007\u202e`,
  );
  const columns = [{ header: "Class" }, { header: "Images", whole: true }];
  expect(textTable(columns, [[name, "1\n2"]], 80)).not.toMatch(dangerous);
  expect(textTable(columns, [[name, "1\n2"]], 80).split("\n")).toHaveLength(5);
});

it("escapes single characters, and nothing else", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const escaped = printable(text);
      expect(escaped).not.toMatch(dangerous);
      const harmless = [...text].filter((character) => !dangerous.test(character)).join("");
      expect(escaped.replaceAll(/\\u00[0189][0-9a-f]|\\u007f|\\u061c|\\u20[0-6][0-9a-f]/g, "")).toBe(
        harmless.replaceAll(/\\u00[0189][0-9a-f]|\\u007f|\\u061c|\\u20[0-6][0-9a-f]/g, ""),
      );
      expect(JSON.parse(printable(JSON.stringify(text)))).toBe(text);
    }),
  );
});
