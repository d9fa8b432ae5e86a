import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { status as codes, credentials, loadPackageDefinition, Metadata, type ServiceError } from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import protobuf from "protobufjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grpcMessages } from "../../apps/server/grpc-messages.ts";
import { createClient, ServerError } from "../../src/client/client.ts";
import { noise } from "../tasks/images.ts";
import { serving, testServer } from "./serving.ts";

const lines: string[] = [];
const settings = { maxBodyBytes: 200_000, maxHeaderBytes: 2048, requestSeconds: 2 };
const own = serving({ apiKeys: ["key"], modelControl: true, settings, log: (line) => lines.push(line) });
let url: string;
let port: number;
let grpcPort: number;

beforeAll(async () => {
  url = await own.server.listen({ host: "127.0.0.1", port: 0 });
  port = Number(new URL(url).port);
  grpcPort = await own.server.listenGrpc({ host: "127.0.0.1", port: 0 });
});

describe("createClient", () => {
  it("asks every endpoint, and throws the server's errors", async () => {
    const client = createClient(`${url}/`, { apiKey: "key" });
    const png = new Uint8Array(own.png);
    expect(await client.ready()).toBe(true);
    expect((await client.metadata()).version).toBe("1.2.3");
    expect((await client.modelMetadata("small")).outputs[0]!.shape).toEqual([-1, 3]);
    expect((await client.models()).map(({ name }) => name)).toEqual(["small"]);
    const predictions = await own.classifier.classify(own.png, { top: 2 });
    expect((await client.classify(png, { top: 2 })).predictions).toEqual(predictions);
    const blob = new Blob([png], { type: "text/plain" });
    expect((await client.classify(blob, { model: "small", top: 2 })).predictions).toEqual(predictions);
    expect((await client.embed(png)).embedding.length).toBeGreaterThan(10);
    expect((await client.explain(png, { class: "owl" })).label).toBe("owl");
    const base64 = Buffer.from(png).toString("base64");
    const input = { name: "images", shape: [1], datatype: "BYTES", data: [base64] };
    expect((await client.infer("small", { inputs: [input] }, { version: "1" })).outputs[0]!.shape).toEqual([1, 3]);
    const error = await client.classify(png, { model: "other" }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ServerError);
    expect(error).toMatchObject({
      status: 404,
      message: expect.stringMatching(/^server .*: repository: it has no such model; .* received "status 404"\.$/),
    });
    await expect(createClient(url).metadata()).rejects.toMatchObject({ status: 401 });
  });
});

/** What a server sends over a socket, until it closes it. */
async function conversation(talk: (socket: Socket) => void): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let heard = "";
  socket.on("data", (data) => {
    heard += data;
  });
  socket.on("error", () => {});
  await once(socket, "connect");
  talk(socket);
  await once(socket, "close");
  return heard;
}

const errorIn = (answer: string) => [
  answer.split(" ")[1],
  (JSON.parse(answer.split("\r\n\r\n")[1]!) as { error: string }).error,
];

describe("connections", () => {
  it("with headers above the limit, or that are not HTTP, are closed with the reason", async () => {
    const large = await conversation((socket) =>
      socket.write(`GET /v2 HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(3000)}\r\n\r\n`),
    );
    expect(errorIn(large)).toEqual(["431", "request: the headers are too large."]);
    const strange = await conversation((socket) => socket.write("hello\r\n\r\n"));
    expect(errorIn(strange)).toEqual(["400", "request: this is not an HTTP request."]);
  });

  it("that send their request too slowly are closed", async () => {
    const slow = await conversation((socket) => {
      socket.write("POST /classify HTTP/1.1\r\nHost: x\r\nX-API-Key: key\r\nContent-Length: 100\r\n\r\nx");
    });
    expect(errorIn(slow)).toEqual(["408", "request: the request did not arrive in time."]);
    const silent = await conversation((socket) => socket.write("GET /v2 HTTP/1.1\r\nHost"));
    expect(silent.split(" ")[1]).toBe("408");
  });

  it("that end in the middle of an upload cost nothing", async () => {
    const head = "POST /classify HTTP/1.1\r\nHost: x\r\nX-API-Key: key\r\nContent-Length: 100000\r\n\r\n";
    await Promise.all(
      Array.from({ length: 50 }, () =>
        conversation((socket) => {
          socket.write(head + "x".repeat(1000));
          socket.destroy();
        }),
      ),
    );
    const { predictions } = await createClient(url, { apiKey: "key" }).classify(new Uint8Array(own.png));
    expect(predictions).toHaveLength(3);
  });

  it("each get one line of the log, without the query and the key", async () => {
    lines.length = 0;
    const headers = { "x-api-key": "key", "x-request-id": "my-id" };
    const response = await fetch(`${url}/v2?secret=hidden`, { headers });
    expect(response.headers.get("x-request-id")).toBe("my-id");
    while (lines.length === 0) await pause(5);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      reqId: "my-id",
      method: "GET",
      path: "/v2",
      status: 200,
      msg: "request",
    });
    expect(lines[0]).not.toMatch(/hidden|"key"/);
  });
});

/** The parts of replies that the tests read. */
interface GrpcReply {
  readonly inputs: readonly object[];
  readonly outputs: readonly object[];
  readonly raw_output_contents: readonly [Buffer];
  readonly models: readonly { readonly state: string }[];
}

type GrpcCall = (
  request: object,
  metadata: Metadata,
  callback: (error: ServiceError | null, reply: GrpcReply) => void,
) => void;

type GrpcClient = { readonly [method: string]: GrpcCall } & { readonly close: () => void };

describe("gRPC", () => {
  // From the same text, whose numbers a test of their own compares with the protocol's.
  const options = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true } as const;
  const messages = fromJSON(protobuf.parse(grpcMessages, { keepCase: true }).root.toJSON(), options);
  const { inference } = loadPackageDefinition(messages) as unknown as {
    readonly inference: { readonly GRPCInferenceService: new (address: string, credentials: object) => GrpcClient };
  };
  let client: GrpcClient;
  beforeAll(() => {
    client = new inference.GRPCInferenceService(`127.0.0.1:${grpcPort}`, credentials.createInsecure());
  });
  afterAll(() => client.close());
  const call = (method: string, request: object, key = "key"): Promise<GrpcReply> => {
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${key}`);
    return new Promise((resolve, reject) => {
      client[method]!(request, metadata, (error: ServiceError | null, reply: GrpcReply) =>
        error ? reject(error) : resolve(reply),
      );
    });
  };

  it("answers about the server and its model", async () => {
    expect(await call("ServerLive", {})).toEqual({ live: true });
    expect(await call("ServerReady", {})).toEqual({ ready: true });
    expect(await call("ModelReady", { name: "small" })).toEqual({ ready: true });
    expect(await call("ModelReady", { name: "small", version: "2" })).toEqual({ ready: false });
    expect(await call("ModelReady", { name: "other" })).toEqual({ ready: false });
    expect(await call("ServerMetadata", {})).toMatchObject({ name: "xception-ts", version: "1.2.3" });
    const { inputs } = await call("ModelMetadata", { name: "small", version: "1" });
    expect(inputs).toEqual([{ name: "images", datatype: "UINT8", shape: [-1, -1, -1, 3] }]);
  });

  it("infers from raw data and from typed contents", async () => {
    const { data } = noise(1, [71, 80, 3]);
    const [expected] = await own.classifier.probabilities([{ width: 80, height: 71, data }]);
    const input = { name: "images", datatype: "UINT8", shape: [1, 71, 80, 3] };
    const close = [...expected!].map((value) => expect.closeTo(value, 6));
    for (const request of [
      { inputs: [input], raw_input_contents: [data] },
      { inputs: [{ ...input, contents: { uint_contents: [...data] } }] },
    ]) {
      const reply = await call("ModelInfer", { model_name: "small", id: "7", ...request });
      expect(reply).toMatchObject({ model_name: "small", model_version: "1", id: "7" });
      expect(reply.outputs).toMatchObject([{ name: "predictions", datatype: "FP32", shape: [1, 3] }]);
      expect(close.map((_, index) => reply.raw_output_contents[0].readFloatLE(4 * index))).toEqual(close);
    }
    const encoded = { name: "images", datatype: "BYTES", shape: [1], contents: { bytes_contents: [own.png] } };
    const outputs = [{ name: "predictions", parameters: { classification: { int64_param: 1 } } }];
    const { raw_output_contents } = await call("ModelInfer", { model_name: "small", inputs: [encoded], outputs });
    const [best] = await own.classifier.classify(own.png);
    expect(raw_output_contents[0].subarray(4).toString()).toBe(`${best!.probability}:${best!.index}:${best!.label}`);
  });

  it("answers Triton's extensions as over HTTP", async () => {
    const headers = { authorization: "Bearer key" };
    const json = async (path: string) => (await own.ask({ url: `/v2/models/${path}`, headers })).json();
    expect(await call("ModelConfig", { name: "small" })).toEqual({ config: await json("small/config") });
    expect(await call("ModelStatistics", {})).toEqual(await json("stats"));
    expect(await call("ModelStatistics", { name: "small", version: "1" })).toEqual(await json("small/stats"));
    const states = async () => (await call("RepositoryIndex", {})).models.map(({ state }) => state);
    expect(await call("RepositoryModelUnload", { model_name: "small" })).toEqual({});
    expect(await states()).toEqual(["UNAVAILABLE"]);
    expect(await call("RepositoryIndex", { ready: true })).toEqual({ models: [] });
    const replaced = { model_name: "small", parameters: { config: { string_param: "{}" } } };
    await expect(call("RepositoryModelLoad", replaced)).rejects.toThrow(
      'repository: a request cannot replace a model\'s configuration or files; received ["config"]. ' +
        "Change the files in the repository.",
    );
    expect(await call("RepositoryModelLoad", { model_name: "small" })).toEqual({});
    expect(await states()).toEqual(["READY"]);
  });

  it("answers errors with the code that stands for them", async () => {
    const codeOf = (method: string, request: object, key?: string) =>
      call(method, request, key).catch(({ code }) => code);
    expect(await codeOf("ModelInfer", { model_name: "other" })).toBe(codes.NOT_FOUND);
    expect(await codeOf("ModelInfer", { model_name: "small" })).toBe(codes.INVALID_ARGUMENT);
    expect(await codeOf("ServerLive", {}, "wrong")).toBe(codes.UNAUTHENTICATED);
    const input = { name: "images", datatype: "BYTES", shape: [1] };
    const shared = { ...input, parameters: { shared_memory_region: { string_param: "a" } } };
    await expect(call("ModelInfer", { model_name: "small", inputs: [shared] })).rejects.toThrow(
      'input "images": shared memory is not supported; expected data in the request and in the reply.',
    );
    await expect(
      call("ModelInfer", { model_name: "small", inputs: [input], raw_input_contents: [own.png, own.png] }),
    ).rejects.toThrow("raw_input_contents: there must be one for each input; received 2; expected 1.");
  });
});

it("the messages have the field numbers of the protocol", () => {
  const { root } = protobuf.parse(grpcMessages, { keepCase: true });
  const numbers = (message: string) => {
    return Object.fromEntries(root.lookupType(`inference.${message}`).fieldsArray.map(({ name, id }) => [name, id]));
  };
  // As in kserve/open-inference-protocol, specification/protocol/open_inference_grpc.proto.
  expect(numbers("ModelInferRequest")).toEqual({
    ...{ model_name: 1, model_version: 2, id: 3, parameters: 4, inputs: 5, outputs: 6, raw_input_contents: 7 },
  });
  expect(numbers("ModelInferResponse")).toEqual({
    ...{ model_name: 1, model_version: 2, id: 3, parameters: 4, outputs: 5, raw_output_contents: 6 },
  });
  const tensor = { name: 1, datatype: 2, shape: 3, parameters: 4, contents: 5 };
  expect(numbers("ModelInferRequest.InferInputTensor")).toEqual(tensor);
  expect(numbers("ModelInferResponse.InferOutputTensor")).toEqual(tensor);
  expect(numbers("ModelMetadataResponse")).toEqual({ name: 1, versions: 2, platform: 3, inputs: 4, outputs: 5 });
  expect(numbers("InferParameter")).toEqual({
    ...{ bool_param: 1, int64_param: 2, string_param: 3, double_param: 4, uint64_param: 5 },
  });
  // As in triton-inference-server/common, protobuf/grpc_service.proto and model_config.proto.
  expect(numbers("ModelConfig")).toEqual({
    ...{ name: 1, platform: 2, max_batch_size: 4, input: 5, output: 6, instance_group: 7, dynamic_batching: 11 },
    backend: 17,
  });
  expect(numbers("ModelInput")).toEqual({ name: 1, data_type: 2, format: 3, dims: 4 });
  expect(numbers("ModelOutput")).toEqual({ name: 1, data_type: 2, dims: 3 });
  expect(numbers("ModelInstanceGroup")).toEqual({ count: 2 });
  expect(numbers("ModelDynamicBatching")).toEqual({
    ...{ preferred_batch_size: 1, max_queue_delay_microseconds: 2, priority_levels: 4, default_priority_level: 5 },
    default_queue_policy: 6,
  });
  expect(numbers("ModelQueuePolicy")).toEqual({
    ...{ timeout_action: 1, default_timeout_microseconds: 2, allow_timeout_override: 3, max_queue_size: 4 },
  });
  expect(root.lookupEnum("inference.DataType").values).toEqual({ TYPE_INVALID: 0, TYPE_UINT8: 2, TYPE_FP32: 11 });
  expect(numbers("ModelStatistics")).toEqual({
    ...{ name: 1, version: 2, last_inference: 3, inference_count: 4, execution_count: 5, inference_stats: 6 },
    batch_stats: 7,
  });
  expect(numbers("InferStatistics")).toEqual({
    ...{ success: 1, fail: 2, queue: 3, compute_input: 4, compute_infer: 5, compute_output: 6 },
    ...{ cache_hit: 7, cache_miss: 8 },
  });
  const change = { repository_name: 1, model_name: 2, parameters: 3 };
  expect(numbers("RepositoryModelLoadRequest")).toEqual(change);
  expect(numbers("RepositoryModelUnloadRequest")).toEqual(change);
  expect(numbers("RepositoryIndexResponse.ModelIndex")).toEqual({ name: 1, version: 2, state: 3, reason: 4 });
  expect(numbers("InferTensorContents")).toEqual({
    ...{ bool_contents: 1, int_contents: 2, int64_contents: 3, uint_contents: 4, uint64_contents: 5 },
    ...{ fp32_contents: 6, fp64_contents: 7, bytes_contents: 8 },
  });
});

it("says where it cannot listen", async () => {
  const listen = async (host: string, at: number, method: "listen" | "listenGrpc" = "listen") => {
    const other = await testServer({ source: own.model });
    await other[method]({ host, port: at });
  };
  const taken = 'another program listens on it; received "127.0.0.1:';
  const remedy = "Choose another port; 0 takes any free one.";
  await expect(listen("127.0.0.1", port)).rejects.toThrow(`option --port: ${taken}${port}". ${remedy}`);
  await expect(listen("127.0.0.1", grpcPort, "listenGrpc")).rejects.toThrow(
    `option --grpc-port: ${taken}${grpcPort}". ${remedy}`,
  );
  await expect(listen("192.0.2.1", 1)).rejects.toThrow(
    /^option --port: the server cannot listen there \(.*EADDRNOTAVAIL.*\); received "192\.0\.2\.1:1"\. Check --host and the port\.$/,
  );
});
