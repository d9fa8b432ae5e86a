import type { ByteScale } from "../graph/ops.ts";
import { calibrate, calibrationImages, calibrationSample, foldedGraph } from "../tasks/quantize/calibration.ts";
import type { TrainingPlan } from "./prepare.ts";
import { gatherRanks } from "./ranks/ranks.ts";
import type { TrainingHooks } from "./request.ts";

/**
 * Completes a plan of quantization-aware training by the limits of the activations: those of the checkpoint to resume from, else
 * of the plan's weights on some training images, as `quantize` chooses them. Other plans are returned unchanged.
 * @throws {DataError} none of these images can be read.
 * @throws {AbortedError} the signal fired.
 */
export async function withActivationLimits(
  plan: TrainingPlan,
  { resume, signal }: Pick<TrainingHooks, "resume" | "signal">,
): Promise<TrainingPlan> {
  const { quantizationAware, dataset, settings, communicator, step } = plan;
  if (quantizationAware === undefined) return plan;
  const calibrated = async (): Promise<Readonly<Record<string, ByteScale>>> => {
    const chosen = calibrationSample(dataset.samples.length, calibrationImages, settings.seed);
    const images = chosen.map((index) => dataset.samples[index]!);
    const options = { platform: step.platform, method: "mse", signal } as const;
    return Object.fromEntries((await calibrate(plan, foldedGraph(plan), images, options)).activations);
  };
  const own = resume?.activations ?? (await calibrated());
  const json = Object.fromEntries(Object.entries(own).map(([name, scale]) => [name, { ...scale }]));
  const [activations] = gatherRanks(communicator, json) as [typeof json];
  const quantization = { ...quantizationAware, activations: new Map(Object.entries(activations)), floatLayers: [] };
  return { ...plan, step: { ...step, quantization } };
}
