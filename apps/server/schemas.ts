/** A JSON Schema of draft 2020-12, as OpenAPI 3.1 uses it. */
export type JsonSchema = { readonly [key: string]: unknown };

const text: JsonSchema = { type: "string" };
const texts: JsonSchema = { type: "array", items: text };
const sizes: JsonSchema = { type: "array", items: { type: "integer" } };

/** An object of which every field is required, but those named. */
function record(properties: Readonly<Record<string, JsonSchema>>, optional: readonly string[] = []): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required, additionalProperties: false };
}

function listOfSchemas(items: JsonSchema): JsonSchema {
  return { type: "array", items };
}

function reference(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

const parameters: JsonSchema = {
  type: "object",
  additionalProperties: { type: ["string", "number", "boolean"] },
};

const classFields = {
  label: text,
  index: { type: "integer", minimum: 0 },
  probability: { type: "number", minimum: 0, maximum: 1 },
};

const duration = reference("StatisticDuration");
const batchDurations = { compute_input: duration, compute_infer: duration, compute_output: duration };

/** Schemas of the documents that the server exchanges, by the name of their TypeScript type. */
export const schemas = {
  ServerMetadata: record({ name: text, version: text, extensions: texts }),
  TensorMetadata: record({ name: text, datatype: text, shape: sizes }),
  ModelMetadataResponse: record({
    name: text,
    versions: texts,
    platform: text,
    inputs: listOfSchemas(reference("TensorMetadata")),
    outputs: listOfSchemas(reference("TensorMetadata")),
  }),
  ModelConfig: record({
    name: text,
    platform: text,
    backend: text,
    max_batch_size: { type: "integer" },
    input: listOfSchemas(record({ name: text, data_type: text, format: text, dims: sizes })),
    output: listOfSchemas(record({ name: text, data_type: text, dims: sizes })),
    instance_group: listOfSchemas(record({ count: { type: "integer" } })),
    dynamic_batching: record({
      preferred_batch_size: sizes,
      max_queue_delay_microseconds: { type: "integer" },
      priority_levels: { type: "integer" },
      default_priority_level: { type: "integer" },
      default_queue_policy: record({
        timeout_action: text,
        default_timeout_microseconds: { type: "integer" },
        allow_timeout_override: { type: "boolean" },
        max_queue_size: { type: "integer" },
      }),
    }),
  }),
  StatisticDuration: record({ count: { type: "integer" }, ns: { type: "integer" } }),
  ModelStatistics: record({
    name: text,
    version: text,
    last_inference: { type: "integer" },
    inference_count: { type: "integer" },
    execution_count: { type: "integer" },
    inference_stats: record({
      success: duration,
      fail: duration,
      queue: duration,
      ...batchDurations,
      cache_hit: duration,
      cache_miss: duration,
    }),
    batch_stats: listOfSchemas(record({ batch_size: { type: "integer" }, ...batchDurations })),
  }),
  ModelStatisticsResponse: record({ model_stats: listOfSchemas(reference("ModelStatistics")) }),
  ServerLiveStatus: record({ live: { type: "boolean" } }),
  ServerReadyStatus: record({ ready: { type: "boolean" } }),
  ModelReadyStatus: record({ name: text, ready: { type: "boolean" } }),
  InferRequest: {
    type: "object",
    required: ["inputs"],
    properties: {
      id: text,
      parameters,
      inputs: listOfSchemas({
        type: "object",
        required: ["name", "shape", "datatype"],
        properties: { name: text, shape: sizes, datatype: text, parameters, data: { type: "array" } },
      }),
      outputs: listOfSchemas({ type: "object", required: ["name"], properties: { name: text, parameters } }),
    },
  },
  InferOutput: record(
    {
      name: text,
      shape: sizes,
      datatype: text,
      parameters,
      data: { type: "array", items: { type: ["number", "string"] } },
    },
    ["parameters", "data"],
  ),
  InferResponse: record(
    { model_name: text, model_version: text, id: text, outputs: listOfSchemas(reference("InferOutput")) },
    ["id"],
  ),
  ClassProbability: record(classFields),
  ClassifyResponse: record({
    model_name: text,
    model_version: text,
    predictions: listOfSchemas(reference("ClassProbability")),
  }),
  EmbedResponse: record({
    model_name: text,
    model_version: text,
    layer: text,
    embedding: listOfSchemas({ type: "number" }),
  }),
  ExplainResponse: record({
    model_name: text,
    model_version: text,
    ...classFields,
    method: text,
    map: listOfSchemas(listOfSchemas({ type: "number" })),
    maximum: { type: "number" },
  }),
  ImageUrl: record({ url: text }),
  RepositoryIndexEntry: record({ name: text, version: text, state: { enum: ["READY", "UNAVAILABLE"] }, reason: text }),
  ErrorResponse: record({ error: text }),
} as const satisfies Readonly<Record<string, JsonSchema>>;

/** Name of a schema of {@link schemas}. */
export type SchemaName = keyof typeof schemas;
