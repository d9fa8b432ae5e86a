import { networkCost } from "../graph/cost.ts";
import { countParameters, networkWeights } from "../graph/network.ts";
import type { Gallery, NetworkSize, TrainingReport } from "../report/training-report.ts";
import type { TrainingResult } from "./request.ts";

/** Parts of a report that are not in the result. */
interface ReportOptions extends Pick<TrainingReport, "title" | "summary" | "settings" | "reproduction"> {
  /** The full-size variant of the trained network. */
  readonly full?: NetworkSize["full"];
  /** Images of the test or the validation, see `galleryOf`. */
  readonly gallery?: Gallery | undefined;
}

/** Parts of a training result that a report shows. */
export type ReportedResult = Pick<
  TrainingResult,
  "network" | "history" | "evaluation" | "test" | "skipped" | "validationSkipped"
>;

/** Collects the contents of a training report: results, settings and cost. */
export function reportOn(result: ReportedResult, options: ReportOptions): TrainingReport {
  const { title, summary, settings, reproduction, full, gallery } = options;
  const { network, history, evaluation, test } = result;
  const { total } = countParameters(networkWeights(network));
  return {
    title,
    ...(summary !== undefined && { summary }),
    network: { parameters: total, ...(full && full.parameters !== total && { full }) },
    ...(settings && { settings }),
    history,
    ...(evaluation && { validation: evaluation }),
    ...(test && { test: test.evaluation }),
    ...(gallery && { gallery }),
    cost: networkCost(network),
    skipped: [...result.skipped, ...result.validationSkipped, ...(test?.skipped ?? [])],
    ...(reproduction && { reproduction }),
  };
}
