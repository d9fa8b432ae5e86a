import fc from "fast-check";
import type { InjectOptions } from "fastify";
import type { Server } from "../../apps/server/server.ts";

const paths = [
  "/classify",
  "/embed",
  "/explain",
  "/v2/models/small/infer",
  "/v2/models/small",
  "/v2/repository/index",
  "/v2/x",
];
const headerNames = [
  "content-type",
  "inference-header-content-length",
  "content-encoding",
  "accept",
  "x-request-id",
  "x-y",
];
const types = [
  "application/json",
  "application/octet-stream",
  "image/png",
  "multipart/form-data; boundary=x",
  "multipart/form-data",
  "",
];

/** A request of any method, path, headers and body; some bodies are nearly right. */
function requests(png: Uint8Array): fc.Arbitrary<InjectOptions> {
  const damaged = fc
    .tuple(fc.nat(png.length - 1), fc.nat(255), fc.boolean())
    .map(([at, value, isCut]) =>
      Buffer.from(isCut ? png.subarray(0, at) : png.map((byte, i) => (i === at ? value : byte))),
    );
  const input = fc.record(
    {
      name: fc.constantFrom("images", "x"),
      shape: fc.array(fc.oneof(fc.integer({ min: -1, max: 4 }), fc.constantFrom(1e9, 2 ** 53, 0.5)), { maxLength: 5 }),
      datatype: fc.constantFrom("UINT8", "FP32", "FP16", "BYTES", "BOOL"),
      parameters: fc.dictionary(fc.constantFrom("binary_data_size", "x"), fc.oneof(fc.integer(), fc.string())),
      data: fc.jsonValue(),
    },
    { requiredKeys: ["name"] },
  );
  const document = fc.record(
    {
      id: fc.string(),
      inputs: fc.array(input, { maxLength: 2 }),
      outputs: fc.array(fc.record({ name: fc.constantFrom("predictions", "x"), parameters: fc.jsonValue() }), {
        maxLength: 2,
      }),
      parameters: fc.dictionary(
        fc.constantFrom("timeout", "priority", "binary_data_output"),
        fc.oneof(fc.integer(), fc.boolean()),
      ),
    },
    { requiredKeys: [] },
  );
  const body = fc.oneof(
    damaged,
    document.map((each) => Buffer.from(JSON.stringify(each))),
    fc.json().map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
  const query = fc.dictionary(
    fc.constantFrom("top", "threshold", "model", "timeout", "class", "method", "pooling"),
    fc.oneof(fc.string(), fc.constantFrom("1", "0.5", "-1", "1e400", "small")),
  );
  // Node itself refuses others before they reach a server.
  const value = fc.oneof(fc.constantFrom(...types), fc.string({ unit: fc.constantFrom(...'az09 ;=-/"') }));
  return fc
    .record({
      method: fc.constantFrom("POST", "POST", "POST", "GET", "PUT"),
      path: fc.constantFrom(...paths),
      query,
      headers: fc.dictionary(fc.constantFrom(...headerNames), value),
      payload: body,
    })
    .map(({ method, path, query: values, headers, payload }) => ({
      method: method as "POST",
      url: `${path}?${new URLSearchParams(values)}`,
      headers,
      ...(method !== "GET" && { payload }),
    }));
}

/** Sends random requests to a server; fails if one is answered with 5xx other than 503 and 504, or not at all. */
export async function fuzzServer(
  { http }: Server,
  png: Uint8Array,
  options: fc.Parameters<[InjectOptions]>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(requests(png), async (request) => {
      const { statusCode, payload } = await http.inject(request);
      if (statusCode >= 500 && statusCode !== 503 && statusCode !== 504) throw new Error(`${statusCode}: ${payload}`);
      if (statusCode >= 400 && typeof JSON.parse(payload).error !== "string") throw new Error(payload);
    }),
    options,
  );
}
