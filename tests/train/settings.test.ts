import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { readConfig, writeConfig } from "../../src/train/settings/config-file.ts";
import { type RecipeName, recipeLayer, recipeNames } from "../../src/train/settings/recipes.ts";
import {
  type ResolvedSettings,
  resolveSettings,
  type SettingsLayer,
  suggestion,
} from "../../src/train/settings/resolve.ts";
import { flagOf, settingGroups, settingNames, settingOf } from "../../src/train/settings/settings.ts";

function layer(source: string, values: Record<string, unknown>): SettingsLayer {
  return { source, values, where: (name) => `${source} ${name}` };
}

/** What the settings are, without those that have no effect. */
function effective({ settings, sources }: ResolvedSettings): Record<string, unknown> {
  return Object.fromEntries([...sources.keys()].map((name) => [name, settings[name]]));
}

describe("which place decides", () => {
  it("is the flag, then the file, then the recipe, then the default", () => {
    const { settings, sources } = resolveSettings([
      layer("flag", { epochs: 1 }),
      layer("file", { epochs: 2, batchSize: 4 }),
      layer("recipe", { epochs: 3, batchSize: 6, dropout: 0.5 }),
    ]);
    expect([settings.epochs, settings.batchSize, settings.dropout, settings.width]).toEqual([1, 4, 0.5, 1]);
    expect(["epochs", "batchSize", "dropout", "width"].map((name) => sources.get(name as "epochs"))).toEqual([
      "flag",
      "file",
      "recipe",
      "default",
    ]);
  });

  it("is last a setting that brings others", () => {
    const { settings, sources } = resolveSettings([layer("flag", { quantizationAware: true, epochs: 3 })]);
    expect(settings).toMatchObject({ epochs: 3, learningRate: 1e-4, schedule: "cosine", warmup: 0.05 });
    expect(sources.get("learningRate")).toBe("--quantization-aware");
    // Its learning rate is that of the default optimizer.
    const flagged = resolveSettings([layer("flag", { quantizationAware: true, optimizer: "sgd" })]);
    expect(flagged.settings).toMatchObject({ epochs: 2, learningRate: 0.045 });
    const off = resolveSettings([
      layer("flag", { quantizationAware: false }),
      layer("recipe", { quantizationAware: true }),
    ]);
    expect(off.settings).toMatchObject({ epochs: 20, learningRate: 0.003 });
  });

  it("passes over what a recipe says of an optimizer that was not chosen", () => {
    const recipe = layer("recipe", { optimizer: "sgd", momentum: 0.8, learningRate: 0.5, weightDecay: 0.1, epochs: 7 });
    const { settings, sources } = resolveSettings([layer("flag", { optimizer: "adamw" }), recipe]);
    expect(settings).toMatchObject({ optimizer: "adamw", learningRate: 0.003, weightDecay: 0.05, epochs: 7 });
    expect(sources.has("momentum")).toBe(false);
    // The same optimizer once more changes nothing.
    const same = resolveSettings([layer("flag", { optimizer: "sgd" }), recipe]);
    expect(same.settings).toMatchObject({ momentum: 0.8, learningRate: 0.5, weightDecay: 0.1 });
    // A place further down that has the chosen optimizer too is asked again.
    const between = layer("file", { optimizer: "adamw", learningRate: 9 });
    expect(resolveSettings([layer("flag", { optimizer: "sgd" }), between, recipe]).settings).toMatchObject({
      momentum: 0.8,
      learningRate: 0.5,
    });
  });

  it("lets the more important of two ways to say the same win", () => {
    const recipe = layer("recipe", { schedule: "exponential", decaySamples: 3000 });
    expect(effective(resolveSettings([recipe]))).toMatchObject({ decaySamples: 3000 });
    expect(effective(resolveSettings([recipe]))).not.toHaveProperty("decayEpochs");
    const flagged = resolveSettings([layer("flag", { decayEpochs: 5 }), recipe]);
    expect(flagged.settings).toMatchObject({ decayEpochs: 5, decaySamples: null });
    expect(effective(flagged)).not.toHaveProperty("decaySamples");
    const none = resolveSettings([layer("flag", { decaySamples: null }), recipe]);
    expect(effective(none)).toMatchObject({ decayEpochs: 2 });
  });

  it("derives defaults from the other settings", () => {
    const rates = ["sgd", "rmsprop", "adam", "adamw"].map((optimizer) => {
      const { settings } = resolveSettings([layer("flag", { optimizer })]);
      return [settings.learningRate, settings.weightDecay, settings.momentum];
    });
    expect(rates).toEqual([
      [0.045, 1e-5, 0.9],
      [0.001, 0, 0],
      [0.001, 0, 0],
      [0.003, 0.05, 0],
    ]);
    expect(resolveSettings([layer("flag", { schedule: "step", epochs: 30 })]).settings).toMatchObject({
      decayAfter: [15, 23],
      decayFactor: 0.1,
    });
    expect(resolveSettings([layer("flag", { schedule: "cosine" })]).settings.warmup).toBe(0.05);
    expect(resolveSettings([layer("flag", { seed: 4 })]).settings.weightsSeed).toBe(4);
  });
});

describe("refused", () => {
  it.each([
    [{ learningrate: 1 }, "file learningrate: there is no such setting. Did you mean learningRate?"],
    [{ "batch-size": 1 }, "file batch-size: there is no such setting. Did you mean batchSize?"],
    [{ recpie: "finetune" }, "file recpie: there is no such setting. Did you mean recipe?"],
    [{ base: 1 }, "file base: there is no such setting. xception train --print-config lists them."],
    [{ constructor: 1 }, "file constructor: there is no such setting. Did you mean contrast?"],
    [{ epochs: "5" }, 'file epochs: this value is not allowed; received "5"; expected a whole number from 1.'],
    [{ epochs: null }, "file epochs: this value is not allowed; received null; expected a whole number from 1."],
    [
      { width: Number.NaN },
      "file width: this value is not allowed; received NaN; expected a number above 0, up to 16.",
    ],
    [{ residual: 1 }, "file residual: this value is not allowed; received 1; expected true or false."],
    [
      { fcUnits: [4, 0] },
      "file fcUnits: this value is not allowed; received [4, 0]; expected a list, each a whole number from 1 to 65536.",
    ],
    [
      { nesterov: true },
      "file nesterov: this does not go with optimizer adamw; received true; expected optimizer sgd.",
    ],
    [
      { schedule: "cosine", decayFactor: 0.5 },
      "file decayFactor: this does not go with schedule cosine; received 0.5; expected schedule exponential or step or plateau.",
    ],
    [
      { schedule: "exponential", decayEpochs: 1, decaySamples: 1 },
      "file decaySamples: this cannot be set together with file decayEpochs.",
    ],
    [
      { split: [80, 10] },
      "file split: this value is not allowed; received [80, 10]; expected shares of training, validation and test that add up to 100 or 1, e.g. 80/10/10, or auto.",
    ],
  ])("%j", (values, message) => {
    const resolve = () => resolveSettings([layer("file", values)]);
    expect(resolve).toThrow(UsageError);
    expect(resolve).toThrow(message);
  });

  it("a recipe that there is not", () => {
    expect(() => recipeLayer("toString")).toThrow(
      'recipe: there is no such recipe; received "toString"; expected from-scratch, finetune, paper-imagenet, paper-jft.',
    );
  });
});

describe("recipes", () => {
  it.each(recipeNames)("%s holds together", (name) => {
    expect(() => resolveSettings([recipeLayer(name)])).not.toThrow();
  });

  it("from-scratch is the defaults", () => {
    expect(resolveSettings([recipeLayer("from-scratch")])).toEqual(resolveSettings([]));
  });

  // The paper's sections 4.2 and 4.3, written down again.
  it.each([
    [
      "paper-imagenet",
      {
        optimizer: "sgd",
        momentum: 0.9,
        learningRate: 0.045,
        schedule: "exponential",
        decayFactor: 0.94,
        decayEpochs: 2,
      },
      { weightDecay: 1e-5, dropout: 0.5, imageSize: 299, variant: "paper", width: 1, labelSmoothing: 0 },
    ],
    [
      "paper-jft",
      {
        optimizer: "rmsprop",
        momentum: 0.9,
        learningRate: 0.001,
        schedule: "exponential",
        decayFactor: 0.9,
        decaySamples: 3e6,
      },
      { weightDecay: 1e-5, dropout: 0, imageSize: 299, variant: "paper", width: 1, fcUnits: [] },
    ],
  ] as const)("%s is the paper's", (name: RecipeName, optimization, regularization) => {
    expect(effective(resolveSettings([recipeLayer(name)]))).toMatchObject({ ...optimization, ...regularization });
  });
});

describe("configuration files", () => {
  it("are YAML or JSON, and may name a recipe", () => {
    const yaml = readConfig("recipe: finetune\nepochs: 5 # few\nfcUnits: [8, 4]\n", "mine.yaml");
    expect(yaml.recipe).toBe("finetune");
    expect(yaml.layer.values).toEqual({ epochs: 5, fcUnits: [8, 4] });
    expect(yaml.layer.where("epochs")).toBe('file "mine.yaml", epochs');
    expect(readConfig('{"epochs": 5, "val": null}', "mine.json").layer.values).toEqual({ epochs: 5, val: null });
    expect(readConfig("", "empty.yaml")).toMatchObject({ recipe: undefined, layer: { values: {} } });
  });

  it.each(recipeNames)("give the settings of %s again", (name) => {
    const resolved = resolveSettings([layer("flag", { val: "it's: here #1", batchSize: 3 }), recipeLayer(name)]);
    const { layer: again } = readConfig(writeConfig(resolved), "settings.yaml");
    expect(resolveSettings([again]).settings).toEqual(resolved.settings);
    // Its details of an optimizer do not stand in the way of another.
    expect(resolveSettings([layer("flag", { optimizer: "adam", schedule: "constant" }), again]).settings).toMatchObject(
      {
        optimizer: "adam",
        learningRate: 0.001,
      },
    );
  });

  it("may say none as flags do, or with null", () => {
    const { layer: words } = readConfig("patience: none\nbatchSize: auto\nflip: auto\nval: none", "mine.yaml");
    const { layer: nulls } = readConfig("patience:\nbatchSize: null\nflip: null\nval: ~", "mine.yaml");
    for (const each of [words, nulls]) {
      expect(resolveSettings([each]).settings).toMatchObject({
        patience: null,
        batchSize: null,
        flip: null,
        val: null,
      });
    }
    expect(resolveSettings([readConfig("flip: false\nrandAugment: [1, 5]", "f").layer]).settings).toMatchObject({
      flip: false,
      randAugment: [1, 5],
    });
  });

  it("name the source of every setting", () => {
    const text = writeConfig(resolveSettings([layer("a\nb", { epochs: 3 }), recipeLayer("paper-jft")]));
    expect(text).toContain("epochs: 3 # a b\n");
    expect(text).toContain("decaySamples: 3000000 # recipe paper-jft\n");
    expect(text).toContain("fcUnits: [] # recipe paper-jft\n");
    expect(text).toContain("width: 1 # default\n");
    expect(text).not.toContain("decayEpochs");
    // No heading without a line.
    expect(text).not.toMatch(/^# .*\n\n/m);
  });

  it.each([
    ["epochs: [", /^file "f": this is neither YAML nor JSON \(.* at line 1, column 10\)\.$/],
    ["epochs: 1\n---\nepochs: 2", /\(Source contains multiple documents at line 2, column 1\)\.$/],
    ["a: 1\na: 2", /^file "f": this is neither YAML nor JSON \(Map keys must be unique at line 2, column 1\)\.$/],
    ["- 1", /^file "f": there are no settings in it; expected lines like epochs: 5\.$/],
    ["5", /^file "f": there are no settings in it/],
    ["recipe: 5", /^file "f", recipe: this is no name; received 5\.$/],
  ])("refuse %j", (text, message) => {
    expect(() => readConfig(text, "f")).toThrow(message);
  });
});

describe("the list of settings", () => {
  it("has each in one group, with a default that it accepts and a flag that writes and reads it", () => {
    expect(settingGroups.flatMap(({ names }) => names)).toEqual(settingNames);
    const { settings } = resolveSettings([]);
    for (const name of settingNames) {
      const { accept, read, write } = settingOf(name);
      expect(accept(settings[name]), name).not.toBeUndefined();
      expect(read(write(settings[name])), name).toEqual(settings[name]);
    }
  });

  it("makes flags of names", () => {
    expect(["learningRate", "val", "beta1"].map(flagOf)).toEqual(["--learning-rate", "--val", "--beta1"]);
  });
});

it("suggests the nearest name: fewest letters put in, taken out or replaced", () => {
  const names = ["epochs", "seed", "rho"];
  const suggested = ["epoch", "sed", "roh", "EPOCHS", "base", "__proto__"].map((name) => suggestion(name, names));
  const [epochs, seed, rho] = names.map((name) => `Did you mean ${name}?`);
  expect(suggested).toEqual([epochs, seed, rho, epochs, undefined, undefined]);
});
