/**
 * Documents that `xception serve` and its clients exchange: those of the Open Inference Protocol (v2) and of the
 * endpoints for images.
 * @see https://github.com/kserve/open-inference-protocol
 */

import type { ClassProbability } from "../base/records.ts";

/** Values beside a request, an input or an output. */
export type InferParameters = Readonly<Record<string, string | number | boolean>>;

/** `GET /v2` */
export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  /** Extensions of the protocol that work. */
  readonly extensions: readonly string[];
}

/** An input or output of a model. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  /** An axis of any size is −1. */
  readonly shape: readonly number[];
}

/** `GET /v2/models/M` */
export interface ModelMetadataResponse {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

/** `GET /v2/models/M/config`: the fields of Triton's model configuration that apply here. */
export interface ModelConfig {
  readonly name: string;
  readonly platform: string;
  readonly backend: string;
  /** Most images in a request. */
  readonly max_batch_size: number;
  /** Shapes are without the batch axis. */
  readonly input: readonly {
    readonly name: string;
    readonly data_type: string;
    readonly format: string;
    readonly dims: readonly number[];
  }[];
  readonly output: readonly { readonly name: string; readonly data_type: string; readonly dims: readonly number[] }[];
  readonly instance_group: readonly { readonly count: number }[];
  readonly dynamic_batching: {
    readonly preferred_batch_size: readonly number[];
    readonly max_queue_delay_microseconds: number;
    readonly priority_levels: number;
    readonly default_priority_level: number;
    readonly default_queue_policy: {
      readonly timeout_action: string;
      readonly default_timeout_microseconds: number;
      readonly allow_timeout_override: boolean;
      readonly max_queue_size: number;
    };
  };
}

/** Number of occurrences, and their total duration. */
export interface StatisticDuration {
  readonly count: number;
  readonly ns: number;
}

/** Durations of the parts of an inference: decoding, the engine, and copying outputs. */
export interface ComputeStatistics {
  readonly compute_input: StatisticDuration;
  readonly compute_infer: StatisticDuration;
  readonly compute_output: StatisticDuration;
}

/** Statistics of a model since it was loaded. */
export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  /** Time of the last inference, in milliseconds since 1970; 0 if there was none. */
  readonly last_inference: number;
  /** Images inferred. */
  readonly inference_count: number;
  /** Runs of the engine. */
  readonly execution_count: number;
  readonly inference_stats: ComputeStatistics & {
    readonly success: StatisticDuration;
    readonly fail: StatisticDuration;
    readonly queue: StatisticDuration;
    readonly cache_hit: StatisticDuration;
    readonly cache_miss: StatisticDuration;
  };
  /** Runs of the engine by the number of their images. */
  readonly batch_stats: readonly (ComputeStatistics & { readonly batch_size: number })[];
}

/** `GET /v2/models/M/stats`, and `GET /v2/models/stats` of all loaded models. */
export interface ModelStatisticsResponse {
  readonly model_stats: readonly ModelStatistics[];
}

/** `GET /v2/health/live` */
export interface ServerLiveStatus {
  readonly live: boolean;
}

/** `GET /v2/health/ready` */
export interface ServerReadyStatus {
  readonly ready: boolean;
}

/** `GET /v2/models/M/ready` */
export interface ModelReadyStatus extends ServerReadyStatus {
  readonly name: string;
}

/** Data of a tensor in JSON: flat or nested lists of numbers, or of strings for `BYTES`. */
export type JsonTensorData = readonly (number | string | JsonTensorData)[];

/** An input of an inference request. */
export interface InferInput {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: string;
  readonly parameters?: InferParameters;
  /** Missing if the data follow the document as bytes. */
  readonly data?: JsonTensorData;
}

/** An output to return. */
export interface InferRequestedOutput {
  readonly name: string;
  readonly parameters?: InferParameters;
}

/** `POST /v2/models/M/infer` */
export interface InferRequest {
  readonly id?: string;
  readonly parameters?: InferParameters;
  readonly inputs: readonly InferInput[];
  readonly outputs?: readonly InferRequestedOutput[];
}

/** An output of an inference. */
export interface InferOutput {
  readonly name: string;
  readonly shape: readonly number[];
  readonly datatype: string;
  readonly parameters?: InferParameters;
  /** Missing if the data follow the document as bytes. */
  readonly data?: readonly (number | string)[];
}

/** The answer to an {@link InferRequest}. */
export interface InferResponse {
  readonly model_name: string;
  readonly model_version: string;
  readonly id?: string;
  readonly outputs: readonly InferOutput[];
}

/** `POST /classify` */
export interface ClassifyResponse {
  readonly model_name: string;
  readonly model_version: string;
  /** Most probable first. */
  readonly predictions: readonly ClassProbability[];
}

/** Body of every reply whose status is not 200. */
export interface ErrorResponse {
  readonly error: string;
}

/** A model of `POST /v2/repository/index`. */
export interface RepositoryIndexEntry {
  readonly name: string;
  /** Empty if it is not loaded. */
  readonly version: string;
  /** `READY` or `UNAVAILABLE`. */
  readonly state: string;
  /** Reason that it is not loaded, or not the file that is there now. */
  readonly reason: string;
}

/** `POST /embed` */
export interface EmbedResponse {
  readonly model_name: string;
  readonly model_version: string;
  /** Layer whose globally pooled feature map it is. */
  readonly layer: string;
  readonly embedding: readonly number[];
}

/** `POST /explain` */
export interface ExplainResponse extends ClassProbability {
  readonly model_name: string;
  readonly model_version: string;
  readonly method: string;
  /** Evidence of the class at each position, rows from the top; not normalized. */
  readonly map: readonly (readonly number[])[];
  /** Largest value of the map. */
  readonly maximum: number;
}
