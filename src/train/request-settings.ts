import { UsageError } from "../base/errors.ts";
import type { Quantization } from "../compiler/quantize/quantization.ts";
import type { TrainingRequest } from "./request.ts";
import { choicesOf } from "./settings/choices.ts";
import { type ResolvedSettings, resolveSettings } from "./settings/resolve.ts";
import { flagOf, type SettingName, type Settings, settingNames, settings as table } from "./settings/settings.ts";

/** Resolves all settings of a request; an object leaves its setting at the default. */
export function resolvedSettings({ resolved, ...request }: TrainingRequest): ResolvedSettings {
  if (resolved) return resolved;
  const { weights, optimizer, schedule, augment, average, batchNorm } = request;
  const named: { readonly [Name in SettingName]?: unknown } = {
    ...request,
    optimizer: typeof optimizer === "object" ? optimizer.name : optimizer,
    ...{ weights: undefined, schedule: undefined, augment: undefined, average: undefined, batchNorm: undefined },
    ...unlessObjects({ weights, schedule, augment, average, batchNorm }),
    ...{ mapWeights: undefined, test: undefined },
  };
  const values = Object.fromEntries(settingNames.map((name) => [name, named[name]]));
  return resolveSettings([{ source: "request", values, where: (name) => placeOf(name as SettingName, {}) }]);
}

function unlessObjects(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => !(value instanceof Object)));
}

/** The objects of a run: the caller's own, or those of its settings. */
export function choicesIn(request: TrainingRequest, settings: Settings) {
  const { optimizer, schedule, augment, average, mixing } = request;
  return {
    ...choicesOf(settings),
    ...(typeof optimizer === "object" && { optimizer }),
    ...(typeof schedule === "function" && { schedule }),
    ...(typeof augment === "object" && { augmentation: augment }),
    ...(typeof average === "function" && { averageDecay: average }),
    ...(mixing && { mixing }),
  };
}

/** The name of a setting in errors: a flag or an option. */
export function placeOf(name: SettingName, { resolved }: Pick<TrainingRequest, "resolved">): string {
  return resolved ? `option ${flagOf(name)}` : `train option ${name}`;
}

/** @throws {UsageError} the test images are those that choose the weights. */
export function assertSeparate({ validation, test }: TrainingRequest): void {
  if (test === undefined || test !== validation) return;
  const what = "the validation images choose the weights: a test needs other images";
  throw new UsageError({ where: "train option test", what });
}

/** @throws {UsageError} a setting depends on validation images, or on epochs of the head alone, and there are none. */
export function assertEffective(settings: Settings, request: TrainingRequest): void {
  const { patience, temperature, schedule, headEpochs, headViews, headRate } = settings;
  const named = (name: SettingName) => (request.resolved ? flagOf(name) : name);
  const refuse = (name: SettingName, what: string, remedy: string) =>
    new UsageError({ where: placeOf(name, request), what, received: settings[name], remedy });

  const ofHead = { headViews: headViews !== table.headViews.default, headRate: headRate !== table.headRate.default };
  const detail = (["headViews", "headRate"] as const).find((name) => ofHead[name]);
  if (headEpochs === 0 && detail !== undefined) {
    const remedy = `Add ${named("headEpochs")}, or leave out ${named(detail)}.`;
    throw refuse(detail, "there are no epochs of the head alone", remedy);
  }

  const chosen = { patience: patience !== null, temperature, schedule: schedule === "plateau" };
  const name = (["patience", "temperature", "schedule"] as const).find((each) => chosen[each]);
  if (request.validation || name === undefined) return;
  const source = request.resolved ? "--val or a share for validation to --split" : "the option validation";
  const remedy = `Add ${source}, or leave out ${named(name)}.`;
  throw refuse(name, "it needs validation images, and there are none", remedy);
}

/**
 * Rounding of the weights in quantization-aware training; undefined without it.
 * @param isTrained true if there are weights to start from.
 * @throws {UsageError} a setting does not go with it, or there are no weights.
 */
export function weightRounding(
  settings: Settings,
  request: TrainingRequest,
  isTrained: boolean,
): Pick<Quantization, "weightBits" | "perTensor"> | undefined {
  const { quantizationAware, reduceRange, perTensor, batchNorm, cachedViews } = settings;
  const named = (name: SettingName) => (request.resolved ? flagOf(name) : `the option ${name}`);
  const conflict = (name: SettingName, what: string, remedy: string) =>
    new UsageError({ where: placeOf(name, request), what, received: settings[name], remedy });
  if (!quantizationAware) {
    const detail = (["reduceRange", "perTensor"] as const).find((name) => settings[name]);
    if (detail === undefined) return undefined;
    throw conflict(detail, "weights are only rounded in training for int8", `Add ${named("quantizationAware")}.`);
  }
  if (!isTrained) {
    const remedy = `Train in float32 first, and then start from its model with ${named("weights")}.`;
    throw conflict("quantizationAware", "there are no trained weights to start from", remedy);
  }
  if (batchNorm === "training" || typeof request.batchNorm === "function") {
    const what = "training for int8 normalizes by the moving statistics, as the int8 model does";
    throw conflict("batchNorm", what, `Leave out ${named("batchNorm")} or ${named("quantizationAware")}.`);
  }
  if (cachedViews !== null) {
    const what = "training for int8 rounds the frozen layers, too, which are not cached";
    throw conflict("cachedViews", what, `Leave out ${named("cachedViews")} or ${named("quantizationAware")}.`);
  }
  return { weightBits: reduceRange ? 7 : 8, perTensor: perTensor || undefined };
}
