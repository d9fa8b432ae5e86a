import { FormatError } from "../base/errors.ts";
import type { Shape } from "../tensor/shape.ts";
import type { ElementType } from "./ops.ts";
import type { StoredType } from "./weights.ts";

/**
 * A network as the WebAssembly engine runs it: fused steps that compute one image, and the places of all numbers in one
 * memory. Images are channels last, addresses are in bytes.
 */
export interface Program {
  readonly name: string;
  /** Size of the memory without the threads' own. */
  readonly memoryBytes: number;
  /** Columns of the largest matrix that `conv` prepares. */
  readonly depth: number;
  readonly input: ProgramTensor;
  readonly outputs: readonly ProgramTensor[];
  readonly weights: readonly ProgramWeights[];
  /** In the order of computation. */
  readonly steps: readonly ProgramStep[];
}

/** A tensor in the memory, for one image: its shape starts with the axis of images, of size 1. */
export interface ProgramTensor {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: Shape;
  readonly address: number;
}

/** Weights in the order of the memory. */
export interface ProgramWeights {
  readonly address: number;
  readonly count: number;
  readonly type: StoredType;
  /** Start in the data, a multiple of 4; for int8 the scales, 8 float32 for each panel, come first. */
  readonly start: number;
  /** For int8: numbers in a panel of 8 columns. */
  readonly panel?: number;
}

/** One call of a kernel, which can be divided between threads. */
export interface ProgramStep {
  readonly kernel: string;
  /** Name of the value that is computed, for profiles. */
  readonly name: string;
  readonly args: readonly (number | string)[];
  /** Units of work: pixels, lines or vectors of the result. */
  readonly units: number;
  /** For `conv`: panels of 8 filters. */
  readonly panels?: number;
}

const magic = "xception-program";
const version = 1;

/** Encodes a program and its weights, which {@link decodeProgram} reads. */
export function encodeProgram(program: Program, data: Uint8Array): Uint8Array {
  const header = new TextEncoder().encode(JSON.stringify(program));
  const start = dataStart(header.length);
  const bytes = new Uint8Array(start + data.length);
  bytes.set(new TextEncoder().encode(magic));
  const view = new DataView(bytes.buffer);
  view.setUint32(magic.length, version, true);
  view.setUint32(magic.length + 4, header.length, true);
  bytes.set(header, magic.length + 8);
  bytes.set(data, start);
  return bytes;
}

/** Returns whether bytes are a program, and not a graph of ONNX. */
export function isProgram(bytes: Uint8Array): boolean {
  return bytes.length >= magic.length && [...magic].every((each, index) => bytes[index] === each.charCodeAt(0));
}

/**
 * Decodes a program; its weights stay a view of the bytes.
 * @throws {FormatError} it is of another version, or incomplete.
 */
export function decodeProgram(bytes: Uint8Array): { readonly program: Program; readonly data: Uint8Array } {
  const where = "program of the WebAssembly engine";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isWhole = isProgram(bytes) && bytes.length >= magic.length + 8;
  const received = isWhole ? view.getUint32(magic.length, true) : undefined;
  if (received !== version) {
    throw new FormatError({
      where,
      what: "it is of another version",
      received,
      expected: `${version}`,
      remedy: "Compile the network again.",
    });
  }
  const length = view.getUint32(magic.length + 4, true);
  const text = new TextDecoder().decode(bytes.subarray(magic.length + 8, magic.length + 8 + length));
  let program: Program;
  try {
    program = JSON.parse(text);
  } catch (cause) {
    throw new FormatError({ where, what: `its description is damaged (${(cause as Error).message})`, cause });
  }
  const data = bytes.subarray(dataStart(length));
  const last = program.weights.at(-1);
  const expected = last ? last.start + storedBytes(last) : 0;
  if (data.length < expected) {
    throw new FormatError({
      where,
      what: "its weights are incomplete",
      received: `${data.length} bytes`,
      expected: `${expected}`,
    });
  }
  return { program, data };
}

/** Bytes of stored weights, the scales included. */
export function storedBytes({ type, count, panel }: Omit<ProgramWeights, "start" | "address">): number {
  if (type === "int8") return count + 32 * (count / panel!);
  return type === "float16" ? 2 * count : 4 * count;
}

/** Start of the data, where float32 is aligned. */
function dataStart(headerLength: number): number {
  return Math.ceil((magic.length + 8 + headerLength) / 64) * 64;
}
