/** The part of the package that runs wherever TypeScript does; `xception-ts/node` adds files, pictures and the engine. */
export * from "./errors.ts";
export * from "./graph/builder.ts";
export * from "./graph/layers.ts";
export {
  countParameters,
  inputShapeOf,
  type Layer,
  type Network,
  network,
  networkWeights,
  type ParameterCount,
} from "./graph/network.ts";
export { type ConvBnOptions, convBn, sepConvBn } from "./models/blocks.ts";
export { entryFlow, exitFlow, middleFlow, xception } from "./models/xception.ts";
export type { FlowOptions, XceptionOptions, XceptionVariant } from "./models/xception-options.ts";
export * from "./records.ts";
export { type SummaryJson, summarize, summaryJson } from "./report/summary.ts";
