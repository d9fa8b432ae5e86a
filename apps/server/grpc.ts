import type { handleUnaryCall, Server as NativeGrpcServer, ServerUnaryCall, ServiceDefinition } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { AbortedError, FormatError, UsageError } from "../../src/base/errors.ts";
import type { InferParameters } from "../../src/client/protocol.ts";
import type { KeyCheck } from "./access.ts";
import { errorReply, RefusedError, statusOf } from "./exchange.ts";
import { grpcMessages } from "./grpc-messages.ts";
import { assertNoSharedMemory, type GivenInput, infer, modelConfig, modelMetadata } from "./infer.ts";
import { changeRepository, modelStatistics, type Service, serverMetadata } from "./routes.ts";
import { elementsFromBytes, elementsFromJson, tensorBytes } from "./tensors.ts";

/** The Open Inference Protocol over gRPC. */
export interface GrpcServer {
  /** Listens; returns the port. @param port 0: any free one. */
  listen(where: { readonly host: string; readonly port: number }): Promise<number>;
  /** Answers the calls in progress, and stops. */
  close(): Promise<void>;
}

/** Options of {@link createGrpc}. */
export interface GrpcOptions {
  readonly maxBodyBytes: number;
  readonly check: KeyCheck;
}

interface Parameter {
  readonly parameter_choice?: string;
  readonly [choice: string]: unknown;
}

interface GrpcTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly contents: Readonly<Record<string, readonly unknown[]>> | null;
}

interface GrpcInferRequest {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly inputs: readonly GrpcTensor[];
  readonly outputs: readonly { readonly name: string; readonly parameters: Readonly<Record<string, Parameter>> }[];
  readonly raw_input_contents: readonly Buffer[];
}

interface NamedRequest {
  readonly name: string;
  readonly version: string;
}

interface RepositoryRequest {
  readonly model_name: string;
  readonly parameters: object;
}

/** gRPC's codes for HTTP statuses. @see https://grpc.io/docs/guides/status-codes/ */
const codes: Readonly<Record<number, number>> = { 400: 3, 401: 16, 403: 7, 404: 5, 413: 8, 429: 8, 503: 14, 504: 4 };
const [cancelled, internal] = [1, 13];

/**
 * Creates a gRPC server.
 * @throws {UsageError} its packages, which are optional, are not installed.
 */
export async function createGrpc(service: Service, { maxBodyBytes, check }: GrpcOptions): Promise<GrpcServer> {
  const [grpc, loader] = await Promise.all([import("@grpc/grpc-js"), import("@grpc/proto-loader")]).catch((cause) => {
    throw new UsageError({
      where: "option --grpc-port",
      what: "its packages are not installed",
      remedy: "Run: npm install @grpc/grpc-js @grpc/proto-loader",
      cause,
    });
  });
  const messages = protobuf.parse(grpcMessages, { keepCase: true }).root.toJSON();
  const definition = loader.fromJSON(messages, { keepCase: true, longs: Number, defaults: true, oneofs: true });
  const server: NativeGrpcServer = new grpc.Server({ "grpc.max_receive_message_length": maxBodyBytes });
  /** Answers calls of one kind. */
  const answering = <Request, Reply>(
    handle: (request: Request, signal: AbortSignal, deadlineMs: number) => Promise<Reply> | Reply,
  ): handleUnaryCall<Request, Reply> => {
    return async (call, callback) => {
      try {
        const [authorization, key] = ["authorization", "x-api-key"].map((name) =>
          String(call.metadata.get(name)[0] ?? ""),
        );
        const error = check(authorization || undefined, key || undefined);
        if (error) throw error;
        callback(null, await handle(call.request, signalOf(call), Number(call.getDeadline()) - Date.now()));
      } catch (error) {
        const code = error instanceof AbortedError ? cancelled : (codes[statusOf(error)] ?? internal);
        callback({ code, details: (errorReply(error).body as { error: string }).error });
      }
    };
  };
  const modelOf = (name: string, version: string) => service.repository.model(name, version || undefined);
  server.addService(definition["inference.GRPCInferenceService"] as ServiceDefinition, {
    ServerLive: answering(() => ({ live: true })),
    ServerReady: answering(() => ({ ready: service.repository.isReady })),
    ModelReady: answering(({ name, version }: NamedRequest) => ({ ready: isModelReady(() => modelOf(name, version)) })),
    ServerMetadata: answering(() => serverMetadata(service)),
    ModelMetadata: answering(({ name, version }: NamedRequest) => modelMetadata(modelOf(name, version))),
    ModelConfig: answering(({ name, version }: NamedRequest) => ({ config: modelConfig(modelOf(name, version)) })),
    ModelStatistics: answering(({ name, version }: NamedRequest) => {
      return modelStatistics(service, name || undefined, version || undefined);
    }),
    RepositoryIndex: answering(({ ready }: { readonly ready: boolean }) => ({
      models: service.repository.index(ready),
    })),
    RepositoryModelLoad: answering(async ({ model_name, parameters }: RepositoryRequest) => {
      await changeRepository(service, "load", model_name, parameters);
      return {};
    }),
    RepositoryModelUnload: answering(async ({ model_name, parameters }: RepositoryRequest) => {
      await changeRepository(service, "unload", model_name, parameters);
      return {};
    }),
    ModelInfer: answering(async (request: GrpcInferRequest, signal, deadlineMs) => {
      const model = modelOf(request.model_name, request.model_version);
      const parameters = parametersOf(request.parameters);
      const timeout = Number.isFinite(deadlineMs) ? { timeout: Math.max(1, Math.round(1000 * deadlineMs)) } : {};
      const outputs = request.outputs.map((output) => ({ ...output, parameters: parametersOf(output.parameters) }));
      const inferred = await infer(model, {
        inputs: inputsOf(request),
        outputs,
        parameters: { ...timeout, ...parameters },
        signal,
      });
      return {
        model_name: model.file.name,
        model_version: model.file.version,
        id: request.id,
        outputs: inferred.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
        // As in Triton, always in the raw form.
        raw_output_contents: inferred.map(({ values }) => tensorBytes(values)),
      };
    }),
  });
  return {
    listen: ({ host, port }) =>
      new Promise((resolve, reject) => {
        const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
        server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, bound) => {
          if (error) reject(error);
          else resolve(bound);
        });
      }),
    close: () => new Promise((resolve) => server.tryShutdown(() => resolve())),
  };
}

function signalOf(call: ServerUnaryCall<unknown, unknown>): AbortSignal {
  const controller = new AbortController();
  call.on("cancelled", () => controller.abort());
  return controller.signal;
}

function isModelReady(find: () => unknown): boolean {
  try {
    find();
    return true;
  } catch (error) {
    // As in Triton, also if there is no such model.
    if (error instanceof RefusedError) return false;
    throw error;
  }
}

function parametersOf(parameters: Readonly<Record<string, Parameter>>): InferParameters {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, each]) => [
      name,
      each[each.parameter_choice ?? ""] as string | number | boolean,
    ]),
  );
}

/** Where each type's elements are, if they are not raw. */
const contentsOf: Readonly<Record<string, string>> = {
  UINT8: "uint_contents",
  FP32: "fp32_contents",
  BYTES: "bytes_contents",
};

function inputsOf({ inputs, raw_input_contents: raw }: GrpcInferRequest): readonly GivenInput[] {
  for (const { name, parameters } of inputs) assertNoSharedMemory(`input "${name}"`, parametersOf(parameters));
  if (raw.length > 0 && raw.length !== inputs.length) {
    throw new FormatError({
      where: "raw_input_contents",
      what: "there must be one for each input",
      received: raw.length,
      expected: String(inputs.length),
    });
  }
  return inputs.map(({ name, datatype, shape, contents }, index) => ({
    name,
    datatype,
    shape,
    read: (type, where) => {
      if (raw.length > 0) return elementsFromBytes(type, shape, raw[index]!, where);
      const values = contents?.[contentsOf[type] ?? ""] ?? [];
      if (type !== "BYTES") return elementsFromJson(type, shape, values, where);
      // As in JSON, where bytes are base64.
      return elementsFromJson(
        type,
        shape,
        (values as readonly Buffer[]).map((each) => each.toString("base64")),
        where,
      );
    },
  }));
}
