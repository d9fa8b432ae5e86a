import { RuntimeUnavailableError, ShapeError } from "../../base/errors.ts";
import type { EngineReport, ProfileEvent, Session, SessionOptions } from "../../base/platform.ts";
import type { ElementType } from "../../graph/ops.ts";
import { decodeProgram, type Program } from "../../graph/program.ts";
import { formatShape, sameShape, sizeOf } from "../../tensor/shape.ts";
import { type FloatTensor, floatTensor } from "../../tensor/tensor.ts";
import { Runner, type RunnerOrder, scratchBytes } from "./runner.ts";
import {
  compileKernels,
  createMemory,
  fastestBuild,
  instantiateKernels,
  type KernelBuild,
  type WasmMemory,
} from "./web-assembly.ts";
import { expandWeights } from "./weights.ts";

/** A thread that follows a session, and ends with it. */
export interface FollowingThread {
  /** Ends it, whatever it is doing. */
  terminate(): unknown;
}

/** Starts a thread that creates a {@link Runner} of this order and calls `follow`; resolves once it exists. */
export type StartThread = (order: RunnerOrder) => Promise<FollowingThread>;

/** Options of {@link createProgramSession}. */
export interface ProgramSessionOptions extends Pick<SessionOptions, "threads" | "profile"> {
  /** Without it there is one thread. */
  readonly startThread?: StartThread | undefined;
  /** Default: the fastest that this machine runs. */
  readonly build?: KernelBuild | undefined;
}

/**
 * Loads a program that `compile` made (form `program`) into our WebAssembly engine, in Node or a browser. It computes in the
 * calling thread, image by image, and waits there for the other threads: in a browser, call it in a worker.
 * @param options more than one of `threads` (default 1) need memory that threads can share, in browsers a page that is isolated
 * from other origins.
 * @throws {FormatError} the bytes are damaged or of another version.
 * @throws {RuntimeUnavailableError} there is not enough memory, or a thread cannot be started.
 */
export async function createProgramSession(
  bytes: Uint8Array,
  options: ProgramSessionOptions = {},
): Promise<ImageSession> {
  const { threads = 1, startThread, build = fastestBuild(), profile = false } = options;
  const { program, data } = decodeProgram(bytes);
  const isShared = startThread !== undefined && threads > 1;
  const module = await compileKernels(build, isShared);
  const count = isShared ? threads : 1;
  const memory = createFor(program, module, count, isShared);
  expandWeights(program, data, memory.buffer);
  const { steps, depth, memoryBytes } = program;
  const order = { module, memory, program: { steps, depth, memoryBytes }, threads: count };
  const followers = Array.from({ length: count - 1 }, (_, index) => startThread!({ ...order, thread: index + 1 }));
  const started = await Promise.allSettled(followers);
  const running = started.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  const failed = started.find((each) => each.status === "rejected");
  if (failed) {
    for (const thread of running) thread.terminate();
    throw unavailable(`a thread cannot be started: ${(failed.reason as Error).message}`, failed.reason);
  }
  return sessionOf(program, memory, new Runner({ ...order, thread: 0 }), profile);
}

function createFor(program: Program, module: object, threads: number, isShared: boolean): WasmMemory {
  try {
    // The smallest memory tells how much each thread needs.
    const each = scratchBytes(instantiateKernels(module, createMemory(65536, isShared)), program.depth);
    return createMemory(program.memoryBytes + threads * each + 64, isShared);
  } catch (cause) {
    const needed = `${Math.ceil(program.memoryBytes / 2 ** 20)} MiB`;
    throw unavailable(`there is no memory of ${needed}: ${(cause as Error).message}`, cause);
  }
}

function unavailable(what: string, cause: unknown): RuntimeUnavailableError {
  return new RuntimeUnavailableError({ where: "WebAssembly engine", what, cause });
}

/** The input of a session that takes one batch of images, with N = 1. */
export interface ImageInput {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
}

/** A session in a browser. */
export interface ImageSession extends Session {
  report?: EngineReport | undefined;
  /** Undefined if it has several inputs, or the size of its images is not fixed. */
  readonly imageInput: ImageInput | undefined;
}

function sessionOf(
  { input, outputs }: Program,
  memory: WasmMemory,
  runner: Runner,
  profile: boolean | undefined,
): ImageSession {
  let events: ProfileEvent[] | undefined = profile ? [] : undefined;
  const size = input.shape.slice(1);
  return {
    outputShapes: new Map(outputs.map(({ name, shape }) => [name, ["N", ...shape.slice(1)]])),
    imageInput: input,
    async run(feeds) {
      const images = feeds[input.name];
      if (images?.type !== input.type || !sameShape(images.shape.slice(1), size)) {
        throw new ShapeError({
          where: `input "${input.name}"`,
          what: "the tensor does not fit the network",
          received: images ? `${images.type} ${formatShape(images.shape)}` : "nothing",
          expected: `${input.type} [N, ${size.join(", ")}]`,
        });
      }
      const count = images.shape[0]!;
      const data = images.data as Uint8Array | Float32Array;
      const length = sizeOf(size);
      const to = memoryOf(memory, input.type, input.address, length);
      const results = new Map<string, FloatTensor>(
        outputs.map(({ name, shape }) => [name, floatTensor([count, ...shape.slice(1)])]),
      );
      for (let image = 0; image < count; image++) {
        to.set(data.subarray(image * length, (image + 1) * length));
        runner.start();
        runner.run(events);
        if (runner.hasFailed()) throw new Error("a thread of the WebAssembly engine failed");
        for (const { name, shape, address } of outputs) {
          const one = sizeOf(shape);
          results.get(name)!.data.set(memoryOf(memory, "float32", address, one), image * one);
        }
      }
      return Object.fromEntries(results);
    },
    async endProfiling() {
      const recorded = events ?? [];
      events = undefined;
      return recorded;
    },
    // Threads end by themselves: Chromium never frees the memory of those that are terminated while they wait.
    dispose: async () => runner.end(),
  };
}

function memoryOf({ buffer }: WasmMemory, type: string, address: number, count: number): Uint8Array | Float32Array {
  return type === "uint8" ? new Uint8Array(buffer, address, count) : new Float32Array(buffer, address, count);
}
