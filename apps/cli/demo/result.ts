import type { EvaluationResult } from "../../../src/tasks/evaluate/evaluate.ts";
import type { TrainingResult } from "../../../src/tasks/train/options.ts";

/** What a demo came to. */
export interface DemoResult {
  readonly training: TrainingResult;
  readonly test: EvaluationResult;
  /** SHA-256 of the model file. */
  readonly fingerprint: string;
}
