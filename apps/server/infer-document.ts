import { FormatError } from "../../src/base/errors.ts";
import { parseJson } from "../../src/base/json.ts";
import { anyJson, number, onOff, string } from "../../src/base/kinds.ts";
import { type Described, either, fitting, list, object, optional, record } from "../../src/base/schema.ts";
import type { InferOutput, InferParameters, InferResponse } from "../../src/client/protocol.ts";
import type { ServerReply, ServerRequest } from "./exchange.ts";
import { assertNoSharedMemory, type GivenInput, type Inference, type InferredOutput, infer } from "./infer.ts";
import type { ServedModel } from "./served-model.ts";
import { elementsFromBytes, elementsFromJson, tensorBytes } from "./tensors.ts";

/** Header with the length of the JSON document in a body that goes on with binary data. */
const inferHeader = "inference-header-content-length";

const parameters = optional(record(either(string, either(number(), onOff()))));
// `data` is checked with the tensor's type and shape.
const input = object({ name: string, shape: list(number()), datatype: string, parameters, data: optional(anyJson) });

/** Other fields are ignored, as in Triton. */
const inferRequest = object({
  id: optional(string),
  parameters,
  inputs: list(input),
  outputs: optional(list(object({ name: string, parameters }))),
});

/**
 * Answers an inference request of the Open Inference Protocol, with or without binary data.
 * @see https://github.com/kserve/open-inference-protocol and Triton's "Binary Tensor Data Extension"
 * @throws {FormatError} the request is not what the protocol prescribes.
 * @throws as {@link infer}.
 */
export async function answerInfer(served: ServedModel, { body, headers, signal }: ServerRequest): Promise<ServerReply> {
  const { document, binary } = splitBody(body, headers[inferHeader]);
  const inputs = givenInputs(document, binary);
  const { parameters, outputs, id } = document;
  const inferred = await infer(served, { inputs, outputs, parameters, signal } as Inference);
  const { name, version } = served.file;
  const isBinary = parameters?.binary_data_output === true;
  const written = inferred.map((output) => writeOutput(output, isBinary));
  const reply: InferResponse = {
    model_name: name,
    model_version: version,
    ...(id !== undefined && { id }),
    outputs: written.map(({ output }) => output),
  };
  const bytes = written.flatMap((each) => each.bytes ?? []);
  if (bytes.length === 0) return { body: reply };
  const json = Buffer.from(JSON.stringify(reply));
  return {
    headers: { "content-type": "application/octet-stream", [inferHeader]: String(json.length) },
    body: Buffer.concat([json, ...bytes]),
  };
}

function splitBody(body: Uint8Array, header: string | undefined) {
  const length = header === undefined ? body.length : Number(header);
  if (header !== undefined && !(/^\d+$/.test(header) && length <= body.length)) {
    throw new FormatError({
      where: "header Inference-Header-Content-Length",
      what: "it is not the length of the JSON document at the start of the body",
      received: header.slice(0, 40),
      expected: `a whole number up to ${body.length}`,
    });
  }
  const text = new TextDecoder().decode(body.subarray(0, length));
  return {
    document: fitting(inferRequest, parseJson(text, "request"), "request"),
    binary: body.subarray(length),
  };
}

/** Divides the binary data among the inputs, in their order. */
function givenInputs({ inputs }: Described<typeof inferRequest>, binary: Uint8Array): readonly GivenInput[] {
  let at = 0;
  const given = inputs.map(({ name, datatype, shape, parameters, data }): GivenInput => {
    const size = parameters?.binary_data_size;
    const where = `input "${name}"`;
    assertNoSharedMemory(where, parameters as InferParameters | undefined);
    if ((size === undefined) === (data === undefined)) {
      const what = size === undefined ? "it has no data" : "it has both data and binary_data_size";
      throw new FormatError({ where, what, expected: "either data or the parameter binary_data_size" });
    }
    if (size === undefined) {
      return { name, datatype, shape, read: (type, where) => elementsFromJson(type, shape, data, where) };
    }
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0 || at + size > binary.length) {
      throw new FormatError({
        where: `${where}, parameter binary_data_size`,
        what: "the body has not that many bytes of binary data",
        received: size,
        expected: `up to ${binary.length - at}`,
      });
    }
    const bytes = binary.subarray(at, at + size);
    at += size;
    return { name, datatype, shape, read: (type, where) => elementsFromBytes(type, shape, bytes, where) };
  });
  if (at === binary.length) return given;
  throw new FormatError({
    where: "request",
    what: "the body has more binary data than its inputs",
    received: `${binary.length} bytes`,
    expected: `${at} bytes`,
  });
}

function writeOutput({ name, datatype, shape, values, wanted }: InferredOutput, isBinary: boolean) {
  const output: InferOutput = { name, datatype, shape };
  if (!((wanted.parameters?.binary_data ?? isBinary) === true)) return { output: { ...output, data: [...values] } };
  const bytes = tensorBytes(values);
  return { output: { ...output, parameters: { binary_data_size: bytes.length } }, bytes };
}
