import {
  encodeProgram,
  type Program,
  type ProgramStep,
  type ProgramTensor,
  type ProgramWeights,
} from "../../graph/program.ts";
import type { StoredType } from "../../graph/weights.ts";
import { aligned, type Buffer, planMemory } from "./memory-plan.ts";
import { type StoredWeights, storeWeight } from "./weights.ts";

/** A place in a buffer: what a kernel is told to read or write. */
export interface Place {
  readonly buffer: Buffer;
  /** Floats from the buffer's start. */
  readonly offset: number;
}

/** Stored weights, whose address is known once all are. */
export interface WeightsPlace {
  readonly weights: StoredWeights;
}

/** An argument of a kernel before addresses are known. */
export type Argument = number | string | Place | WeightsPlace;

/** A step before addresses are known. */
export interface OpenStep extends Omit<ProgramStep, "args"> {
  readonly args: readonly Argument[];
}

/** An input or output before addresses are known. */
export type OpenTensor = Omit<ProgramTensor, "address"> & { readonly place: Place };

/** Address of the first weights; 0 means "none" to the kernels. */
const firstAddress = 64;

/** Collects the steps of a program and its weights, and gives all of them their places in the memory. */
export class ProgramEmitter {
  readonly #steps: OpenStep[] = [];
  readonly #weights: StoredWeights[] = [];
  readonly #storedAs: StoredType;
  #depth = 0;

  constructor(storedAs: StoredType) {
    this.#storedAs = storedAs;
  }

  /** Room for floats, or bytes. */
  buffer(count: number, bytesEach = 4): Buffer {
    return { bytes: count * bytesEach, isKept: false };
  }

  /** Stores numbers that stay exact: biases, statistics. */
  vector(values: Float32Array): WeightsPlace {
    return this.#stored(storeWeight(values, "float32"));
  }

  /** Stores the weights of a kernel; `panel`: numbers to a panel, if they are packed in panels. */
  kernel(values: Float32Array, panel?: number): WeightsPlace {
    return this.#stored(storeWeight(values, this.#storedAs, panel));
  }

  /** Adds a step. */
  step(step: OpenStep): void {
    this.#steps.push(step);
  }

  /** Makes sure that `conv` can prepare rows of this length. */
  reserveDepth(depth: number): void {
    this.#depth = Math.max(this.#depth, depth);
  }

  /** Encodes the program. */
  finish(name: string, input: OpenTensor, outputs: readonly OpenTensor[]): Uint8Array {
    let address = firstAddress;
    let start = 0;
    const weights: ProgramWeights[] = [];
    const addresses = new Map<StoredWeights, number>();
    for (const each of this.#weights) {
      const { bytes, ...facts } = each;
      addresses.set(each, address);
      weights.push({ ...facts, address, start });
      address += aligned(4 * each.count);
      start += Math.ceil(bytes.length / 4) * 4;
    }
    const data = new Uint8Array(start);
    for (const [index, { bytes }] of this.#weights.entries()) data.set(bytes, weights[index]!.start);

    for (const { place } of [input, ...outputs]) place.buffer.isKept = true;
    const uses = this.#steps.map(({ args }) => ({
      buffers: args.flatMap((each) => (isPlace(each) ? [each.buffer] : [])),
    }));
    const kept = [input, ...outputs].map(({ place }) => place.buffer);
    const plan = planMemory([{ buffers: kept }, ...uses], address);
    const addressOf = ({ buffer, offset }: Place) => plan.addresses.get(buffer)! + 4 * offset;
    const closed = ({ place, ...tensor }: OpenTensor): ProgramTensor => ({ ...tensor, address: addressOf(place) });
    const program: Program = {
      name,
      memoryBytes: plan.end,
      depth: this.#depth,
      input: closed(input),
      outputs: outputs.map(closed),
      weights,
      steps: this.#steps.map(({ args, ...step }) => ({
        ...step,
        args: args.map((each) => {
          if (typeof each !== "object") return each;
          return isPlace(each) ? addressOf(each) : addresses.get(each.weights)!;
        }),
      })),
    };
    return encodeProgram(program, data);
  }

  #stored(weights: StoredWeights): WeightsPlace {
    this.#weights.push(weights);
    return { weights };
  }
}

function isPlace(argument: Argument): argument is Place {
  return typeof argument === "object" && "buffer" in argument;
}
