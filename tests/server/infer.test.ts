import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { InferResponse } from "../../src/client/protocol.ts";
import { toHalf } from "../../src/tensor/half.ts";
import { noise } from "../tasks/images.ts";
import { noisePng } from "./noise-png.ts";
import { serving } from "./serving.ts";

const own = serving();
const url = "/v2/models/small/infer";
const [height, width] = [71, 80];

/** Two images of the network's size. */
const pixels = noise(2, [height, width, 3]).data;
const shape = [2, height, width, 3];

async function probabilities(image: Uint8Array): Promise<Float32Array> {
  const prepared = await own.classifier.prepare(image);
  return (await own.classifier.probabilities([prepared]))[0]!;
}

async function expected(): Promise<number[]> {
  const size = pixels.length / 2;
  const rows = [pixels.subarray(0, size), pixels.subarray(size)].map((data) => ({ width, height, data }));
  return (await own.classifier.probabilities(rows)).flatMap((row) => [...row]);
}

const post = (payload: object | Buffer, headers: Readonly<Record<string, string>> = {}) => {
  return own.ask({ method: "POST", url, payload, headers: { "content-type": "application/json", ...headers } });
};

/** A body of a JSON document and binary data. */
function binary(document: object, ...data: readonly Uint8Array[]) {
  const json = Buffer.from(JSON.stringify(document));
  return post(Buffer.concat([json, ...data]), {
    "content-type": "application/octet-stream",
    "inference-header-content-length": String(json.length),
  });
}

const bytesOf = (values: Float32Array | Uint16Array) =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

describe("inference", () => {
  it("takes pixels as flat or nested lists, and echoes the id", async () => {
    const flat = [...pixels];
    const nested = [0, 1].map((image) =>
      Array.from({ length: height }, (_, y) =>
        Array.from({ length: width }, (__, x) => {
          const at = 3 * ((image * height + y) * width + x);
          return flat.slice(at, at + 3);
        }),
      ),
    );
    const values = (await expected()).map((value) => expect.closeTo(value, 6));
    for (const [datatype, data] of [
      ["UINT8", flat],
      ["FP32", flat.map((value) => Math.min(255, value + 0.25))],
      ["UINT8", nested],
    ] as const) {
      const { json } = await post({ id: "42", inputs: [{ name: "images", shape, datatype, data }] });
      expect(json()).toEqual({
        model_name: "small",
        model_version: "1",
        id: "42",
        outputs: [{ name: "predictions", datatype: "FP32", shape: [2, 3], data: values }],
      });
    }
  });

  it("takes binary data of every type, and returns it", async () => {
    const values = await expected();
    for (const [datatype, data] of [
      ["UINT8", pixels],
      ["FP32", bytesOf(Float32Array.from(pixels))],
      ["FP16", bytesOf(toHalf(Float32Array.from(pixels)))],
    ] as const) {
      const input = { name: "images", shape, datatype, parameters: { binary_data_size: data.length } };
      const reply = await binary({ inputs: [input], parameters: { binary_data_output: true } }, data);
      expect(reply.headers["content-type"]).toBe("application/octet-stream");
      const length = Number(reply.headers["inference-header-content-length"]);
      const document = JSON.parse(reply.bytes.subarray(0, length).toString()) as InferResponse;
      expect(document.outputs).toEqual([
        { name: "predictions", datatype: "FP32", shape: [2, 3], parameters: { binary_data_size: 24 } },
      ]);
      const returned = values.map((_, index) => reply.bytes.readFloatLE(length + 4 * index));
      expect(returned).toEqual(values.map((value) => expect.closeTo(value, 6)));
    }
  });

  it("takes encoded images, in JSON as base64, in binary data preceded by their length", async () => {
    const other = await noisePng(3, [90, 90]);
    const values = [...(await probabilities(own.png)), ...(await probabilities(other))];
    const close = values.map((value) => expect.closeTo(value, 6));
    const base64 = [own.png, other].map((png) => Buffer.from(png).toString("base64"));
    const json = await post({ inputs: [{ name: "images", shape: [2], datatype: "BYTES", data: base64 }] });
    expect(json.json<InferResponse>().outputs[0]!.data).toEqual(close);
    const data = Buffer.concat(
      [own.png, other].flatMap((png) => {
        const length = Buffer.alloc(4);
        length.writeUInt32LE(png.length);
        return [length, png];
      }),
    );
    const parameters = { binary_data_size: data.length };
    const reply = await binary({ inputs: [{ name: "images", shape: [2, 1], datatype: "BYTES", parameters }] }, data);
    expect(reply.json<InferResponse>().outputs[0]!.data).toEqual(close);
  });

  it("returns classes as value:index:label, in JSON and in binary data", async () => {
    const inputs = [{ name: "images", shape: [1], datatype: "BYTES", data: [Buffer.from(own.png).toString("base64")] }];
    const best = own.classifier.rank(await probabilities(own.png), 2);
    const strings = best.map(({ probability, index, label }) => `${probability}:${index}:${label}`);
    const outputs = [{ name: "predictions", parameters: { classification: 2 } }];
    const { json } = await post({ inputs, outputs });
    expect(json<InferResponse>().outputs).toEqual([
      { name: "predictions", datatype: "BYTES", shape: [1, 2], data: strings },
    ]);
    const asked = [{ name: "predictions", parameters: { classification: 99, binary_data: true } }];
    const reply = await post({ inputs, outputs: asked });
    const length = Number(reply.headers["inference-header-content-length"]);
    const document = JSON.parse(reply.bytes.subarray(0, length).toString()) as InferResponse;
    expect(document.outputs[0]).toMatchObject({ shape: [1, 3], datatype: "BYTES" });
    const first = reply.bytes.subarray(length);
    expect(first.subarray(4, 4 + first.readUInt32LE(0)).toString()).toBe(strings[0]);
  });
});

const image = { name: "images", shape: [1, 1, 1, 3], datatype: "UINT8", data: [1, 2, 3] };

describe("requests that are refused", () => {
  it.each([
    [
      { inputs: "x" },
      'request, field inputs: this value is not allowed; received "x"; expected a list, each an object.',
    ],
    [{ inputs: [] }, 'model "small": these are not its inputs; received []; expected ["images"].'],
    [
      { inputs: [{ ...image, name: "x" }] },
      'model "small": these are not its inputs; received ["x"]; expected ["images"].',
    ],
    [
      { inputs: [{ ...image, datatype: "INT64" }] },
      'input "images": its datatype is not supported; received "INT64"; expected UINT8, FP32, FP16, BYTES.',
    ],
    [
      { inputs: [{ ...image, shape: [1, 3] }] },
      'input "images": its shape is not supported; received [1, 3]; expected [N, height, width, 3].',
    ],
    [
      { inputs: [{ ...image, datatype: "BYTES", shape: [1, 2] }] },
      'input "images": its shape is not supported; received [1, 2]; expected [N]: one encoded image each.',
    ],
    [
      { inputs: [{ ...image, data: [1, 2] }] },
      'input "images": its data do not fill its shape; received "2 elements"; expected 3 elements for [1,1,1,3].',
    ],
    [
      { inputs: [{ ...image, data: [1, 2, 256] }] },
      'input "images": a pixel is out of range; received 256; expected numbers from 0 to 255.',
    ],
    [
      { inputs: [{ ...image, data: undefined }] },
      'input "images": it has no data; expected either data or the parameter binary_data_size.',
    ],
    [
      { inputs: [{ ...image, datatype: "FP16" }] },
      'input "images": FP16 has no form in JSON. Send it as binary data, or as FP32.',
    ],
    [
      { inputs: [{ name: "images", shape: [1], datatype: "BYTES", data: ["no base64"] }] },
      'input "images": an element of BYTES is not base64; received "no base64"; expected encoded images (JPEG, PNG …) as base64 strings.',
    ],
    [
      { inputs: [image], outputs: [{ name: "x" }] },
      'output "x": the model has no such output; expected "predictions", once.',
    ],
    [
      { inputs: [image], outputs: [{ name: "predictions" }, { name: "predictions" }] },
      'output "predictions": it is requested twice; expected "predictions", once.',
    ],
    [
      { inputs: [{ ...image, data: undefined, parameters: { shared_memory_region: "a" } }] },
      'input "images": shared memory is not supported; expected data in the request and in the reply.',
    ],
    [
      { inputs: [image], outputs: [{ name: "predictions", parameters: { shared_memory_region: "a" } }] },
      'output "predictions": shared memory is not supported; expected data in the request and in the reply.',
    ],
    [
      { inputs: [image], parameters: { timeout: -1 } },
      'parameter "timeout": this value is not allowed; received -1; expected a whole number from 0.',
    ],
    [
      { inputs: [{ ...image, data: undefined, parameters: { binary_data_size: 3 } }] },
      'input "images", parameter binary_data_size: the body has not that many bytes of binary data; received 3; expected up to 0.',
    ],
  ])("%j", async (document, error) => {
    const { status, json } = await post(document);
    expect([status, json()]).toEqual([400, { error }]);
  });

  it("text that is not JSON, a wrong length of it, and binary data that do not fit", async () => {
    const errorOf = async (reply: ReturnType<typeof post>) => (await reply).json<{ error: string }>().error;
    expect(await errorOf(post(Buffer.from("{")))).toBe("request, character 1: this is not JSON.");
    const wrong = { "inference-header-content-length": "99999" };
    expect(await errorOf(post({ inputs: [image] }, wrong))).toMatch(
      /^header Inference-Header-Content-Length: it is not the length .*received "99999"; expected a whole number up to \d+\.$/,
    );
    const input = (size: number, more: object = {}) => ({
      ...image,
      data: undefined,
      parameters: { binary_data_size: size },
      ...more,
    });
    expect(await errorOf(binary({ inputs: [input(3)] }, new Uint8Array(4)))).toBe(
      'request: the body has more binary data than its inputs; received "4 bytes"; expected 3 bytes.',
    );
    expect(await errorOf(binary({ inputs: [input(4)] }, new Uint8Array(4)))).toBe(
      'input "images": its data do not fill its shape; received "4 bytes"; expected 3 bytes for UINT8 [1,1,1,3].',
    );
    const cut = input(5, { datatype: "BYTES", shape: [1] });
    expect(await errorOf(binary({ inputs: [cut] }, Uint8Array.of(2, 0, 0, 0, 1)))).toBe(
      'input "images", byte 0: an element of BYTES is cut short; expected its length in 4 bytes, little-endian, and as many bytes.',
    );
    const two = input(4, { datatype: "BYTES", shape: [2] });
    expect(await errorOf(binary({ inputs: [two] }, new Uint8Array(4)))).toBe(
      'input "images": its data do not fill its shape; received "1 elements"; expected 2 elements.',
    );
  });
});

interface Fixture {
  readonly source: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly document: object;
  readonly binaryBytes: number;
  /** What this server answers: its model has other inputs than the example's. */
  readonly status: number;
  readonly error: string;
}

/** What a client sent, byte for byte: an inference on the two images of {@link sentPixels}. */
interface RecordedRequest {
  readonly source: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** In base64. */
  readonly body: string;
  readonly reply: "binary" | "json" | "classes";
}

const bodies = JSON.parse(readFileSync(new URL("./protocol-bodies.json", import.meta.url), "utf8")) as (
  | Fixture
  | RecordedRequest
)[];
const fixtures = bodies.filter((each) => "document" in each);

it.each(fixtures)("a documented request is read as its protocol says: $source", async (fixture) => {
  const { headers, document, binaryBytes, status, error } = fixture;
  const json = Buffer.from(JSON.stringify(document, undefined, 2));
  const length = binaryBytes > 0 ? { "inference-header-content-length": String(json.length) } : {};
  const reply = await post(Buffer.concat([json, Buffer.alloc(binaryBytes)]), { ...headers, ...length });
  expect([reply.status, reply.json()]).toEqual([status, { error }]);
});

/** Two images of 2×3 pixels. */
const sentPixels = Uint8Array.from({ length: 36 }, (_, index) => (37 * index) % 256);

it.each(bodies.filter((each) => "body" in each))("what a client sent is answered: $source", async (sent) => {
  const { url, headers, body, reply } = sent;
  const images = [0, 18].map((at) => ({ width: 3, height: 2, data: sentPixels.subarray(at, at + 18) }));
  const prepared = await Promise.all(images.map((each) => own.classifier.prepare(each)));
  const rows = await own.classifier.probabilities(prepared);
  const values = rows.flatMap((row) => [...row]).map((value) => expect.closeTo(value, 6));
  const answer = await own.ask({ method: "POST", url, headers, payload: Buffer.from(body, "base64") });
  expect(answer.status).toBe(200);
  if (reply === "json") {
    const outputs = [{ name: "predictions", datatype: "FP32", shape: [2, 3], data: values }];
    return expect(answer.json()).toEqual({ model_name: "small", model_version: "1", outputs });
  }
  const length = Number(answer.headers["inference-header-content-length"]);
  const document = JSON.parse(answer.bytes.subarray(0, length).toString()) as InferResponse;
  const data = answer.bytes.subarray(length);
  const about = { name: "predictions", parameters: { binary_data_size: data.length } };
  if (reply === "binary") {
    expect(document.outputs).toEqual([{ ...about, datatype: "FP32", shape: [2, 3] }]);
    return expect(values.map((_, index) => data.readFloatLE(4 * index))).toEqual(values);
  }
  expect(document.outputs).toEqual([{ ...about, datatype: "BYTES", shape: [2, 2] }]);
  const best = rows.flatMap((row) => own.classifier.rank(row, 2));
  let at = 0;
  for (const { index, label, probability } of best) {
    const end = at + 4 + data.readUInt32LE(at);
    const [value, ...others] = data
      .subarray(at + 4, end)
      .toString()
      .split(":");
    expect([Number(value), ...others]).toEqual([expect.closeTo(probability, 6), String(index), label]);
    at = end;
  }
  expect(at).toBe(data.length);
});
