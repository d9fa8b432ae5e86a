import type { WasmMemory } from "./web-assembly.ts";

/** Views of the memory. */
interface Views {
  readonly floats: Float32Array;
  readonly bytes: Uint8Array;
}

/** A kernel: its step's arguments, and the part of the units to compute. */
type ScalarKernel = (views: Views, args: readonly number[], from: number, to: number) => void;

/** Kernels that networks need rarely, or for few numbers: not worth code of WebAssembly. */
const kernels: Readonly<Record<string, ScalarKernel>> = {
  relu: eachFloat((x) => Math.max(x, 0)),
  elu: eachFloat((x) => (x > 0 ? x : Math.expm1(x))),
  leakyRelu: eachFloat((x, slope) => (x > 0 ? x : slope * x)),
  sigmoid: eachFloat((x) => 1 / (1 + Math.exp(-x))),
  /** Rows of `size`. */
  softmax: ({ floats }, [x, y, size], from, to) => {
    for (let row = from; row < to; row++) {
      const input = floats.subarray(x! / 4 + row * size!, x! / 4 + (row + 1) * size!);
      const highest = input.reduce((a, b) => Math.max(a, b), -Infinity);
      const exponentials = Float64Array.from(input, (value) => Math.exp(value - highest));
      const sum = exponentials.reduce((a, b) => a + b, 0);
      floats.set(
        exponentials.map((value) => value / sum),
        y! / 4 + row * size!,
      );
    }
  },
  /** Bytes to scale · x + shift, each operation rounded to float32. */
  scaleBytes: ({ floats, bytes }, [x, channels, y, stride, scale, shift], from, to) => {
    for (let channel = 0; channel < channels!; channel++) {
      const factor = floats[scale! / 4 + channel]!;
      const offset = floats[shift! / 4 + channel]!;
      for (let pixel = from; pixel < to; pixel++) {
        floats[y! / 4 + pixel * stride! + channel] =
          Math.fround(bytes[x! + pixel * channels! + channel]! * factor) + offset;
      }
    }
  },
  sumChannels: ({ floats }, [x, channels, y], from, to) => {
    for (let pixel = from; pixel < to; pixel++) {
      let sum = 0;
      for (let channel = 0; channel < channels!; channel++) sum += floats[x! / 4 + pixel * channels! + channel]!;
      floats[y! / 4 + pixel] = sum;
    }
  },
  /** Lines of the result. */
  pad: ({ floats }, [x, height, width, channels, y, outWidth, top, left], from, to) => {
    for (let line = from; line < to; line++) {
      const start = y! / 4 + line * outWidth! * channels!;
      floats.fill(0, start, start + outWidth! * channels!);
      const source = line - top!;
      if (source < 0 || source >= height!) continue;
      const at = x! / 4 + source * width! * channels!;
      floats.copyWithin(start + left! * channels!, at, at + width! * channels!);
    }
  },
  /** Runs of `count` floats. */
  copy: ({ floats }, [x, xStride, y, yStride, count], from, to) => {
    for (let run = from; run < to; run++) {
      const at = x! / 4 + run * xStride!;
      floats.copyWithin(y! / 4 + run * yStride!, at, at + count!);
    }
  },
};

/** Binds the kernels to a memory. */
export function scalarKernels(memory: WasmMemory) {
  const views = { floats: new Float32Array(memory.buffer), bytes: new Uint8Array(memory.buffer) };
  return (name: string) => {
    const kernel = Object.hasOwn(kernels, name) ? kernels[name] : undefined;
    return kernel && ((args: readonly number[], from: number, to: number) => kernel(views, args, from, to));
  };
}

function eachFloat(value: (x: number, parameter: number) => number): ScalarKernel {
  return ({ floats }, [x, y, parameter], from, to) => {
    const [source, target] = [x! / 4, y! / 4];
    for (let index = from; index < to; index++) floats[target + index] = value(floats[source + index]!, parameter!);
  };
}
