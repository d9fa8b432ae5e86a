import { countParameters, networkWeights } from "../graph/network.ts";
import { networkCost } from "../report/cost.ts";
import type { Fact } from "../report/document.ts";
import type { Gallery, NetworkSize, Reproduction, TrainingReport } from "../report/training-report.ts";
import type { TrainingResult } from "./request.ts";

/** What a report says beyond what the training itself knows. */
interface ReportOptions {
  readonly title: string;
  readonly summary?: string;
  readonly settings?: readonly Fact[];
  readonly reproduction?: Reproduction;
  /** The larger network that the trained one is a smaller sibling of. */
  readonly full?: NetworkSize["full"];
  /** Images that were tested: see `galleryOf`. */
  readonly gallery?: Gallery | undefined;
}

/** What a report has to know of a training. */
export type ReportedResult = Pick<
  TrainingResult,
  "network" | "history" | "evaluation" | "skipped" | "validationSkipped"
>;

/** Gathers what `renderReport` shows of a training: its numbers and its cost. */
export function reportOn(result: ReportedResult, options: ReportOptions): TrainingReport {
  const { title, summary, settings, reproduction, full, gallery } = options;
  const { network, history, evaluation } = result;
  const { total } = countParameters(networkWeights(network));
  return {
    title,
    ...(summary !== undefined && { summary }),
    network: { parameters: total, ...(full && full.parameters !== total && { full }) },
    ...(settings && { settings }),
    history,
    ...(evaluation && { evaluation }),
    ...(gallery && { gallery }),
    cost: networkCost(network),
    skipped: [...result.skipped, ...result.validationSkipped],
    ...(reproduction && { reproduction }),
  };
}
