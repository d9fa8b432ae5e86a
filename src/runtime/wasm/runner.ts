import { FormatError } from "../../base/errors.ts";
import type { ProfileEvent } from "../../base/platform.ts";
import type { Program, ProgramStep } from "../../graph/program.ts";
import { scalarKernels } from "./scalar-kernels.ts";
import { instantiateKernels, type Kernels, type WasmMemory } from "./web-assembly.ts";

/** The part of a program's work that a thread does. */
export interface RunnerOrder {
  readonly module: object;
  readonly memory: WasmMemory;
  readonly program: Pick<Program, "steps" | "depth" | "memoryBytes">;
  /** From 0, which is the thread of the session itself. */
  readonly thread: number;
  readonly threads: number;
}

/** Places of the threads' numbers at the start of the memory, in int32. */
const [runs, arrived, steps, failures, ended] = [0, 1, 2, 3, 4] as const;
/** Looks at a number so often before the thread sleeps: waking it takes longer than most waits. */
const spins = 2000;

/** Runs a thread's part of a program's steps. All threads of a program must call `run` together. */
export class Runner {
  readonly #calls: readonly { readonly step: ProgramStep; readonly compute: () => void }[];
  readonly #state: Int32Array;
  readonly #threads: number;

  /** @throws {FormatError} a step needs a kernel that there is not. */
  constructor({ module, memory, program, thread, threads }: RunnerOrder) {
    const kernels = instantiateKernels(module, memory);
    const scalar = scalarKernels(memory);
    const scratch = program.memoryBytes + thread * scratchBytes(kernels, program.depth);
    this.#threads = threads;
    this.#state = new Int32Array(memory.buffer, 0, 5);
    this.#calls = program.steps.map((step) => {
      const { kernel, units, panels } = step;
      const args = step.args as readonly number[];
      if (kernel === "conv") {
        const [rows, columns] = sharesOfConv(units, panels!, kernels.rowsOfTile!(), thread, threads);
        const all = [...args, ...rows, ...columns, scratch];
        return { step, compute: () => void (rows[0] < rows[1] && columns[0] < columns[1] && kernels.conv!(...all)) };
      }
      const [from, to] = share(units, thread, threads);
      const written = scalar(kernel);
      if (written) return { step, compute: () => written(args, from, to) };
      const compiled = Object.hasOwn(kernels, kernel) ? kernels[kernel] : undefined;
      if (compiled === undefined) {
        const where = `program of the WebAssembly engine, step "${step.name}"`;
        throw new FormatError({ where, what: "this engine has no such kernel", received: kernel });
      }
      return { step, compute: () => void compiled(...args, from, to) };
    });
  }

  /**
   * Computes one image.
   * @param events records how long each step takes until all threads have done it.
   */
  run(events?: ProfileEvent[]): void {
    for (const { step, compute } of this.#calls) {
      const start = events ? performance.now() : 0;
      compute();
      if (this.#threads > 1) this.#meet();
      events?.push({ operator: step.kernel, node: step.name, durationMs: performance.now() - start });
    }
  }

  /** Lets the other threads start a run. */
  start(): void {
    if (this.#threads === 1) return;
    Atomics.add(this.#state, runs, 1);
    Atomics.notify(this.#state, runs);
  }

  /** Returns whether a thread failed since the last call. */
  hasFailed(): boolean {
    return Atomics.exchange(this.#state, failures, 0) !== 0;
  }

  /** Lets the other threads return from `follow`, also from the middle of a run. */
  end(): void {
    Atomics.store(this.#state, ended, 1);
    for (const place of [runs, steps]) {
      Atomics.add(this.#state, place, 1);
      Atomics.notify(this.#state, place);
    }
  }

  /** Runs whenever the session does, until it ends. */
  follow(): void {
    for (let last = 0; ; last++) {
      wait(this.#state, runs, last);
      if (this.#hasEnded()) return;
      for (const { compute } of this.#calls) {
        try {
          compute();
        } catch {
          Atomics.store(this.#state, failures, 1);
        }
        this.#meet();
      }
    }
  }

  #hasEnded(): boolean {
    return Atomics.load(this.#state, ended) !== 0;
  }

  /** Waits until all threads have done this step. */
  #meet(): void {
    const step = Atomics.load(this.#state, steps);
    if (this.#hasEnded()) return;
    if (Atomics.add(this.#state, arrived, 1) + 1 < this.#threads) {
      wait(this.#state, steps, step);
      return;
    }
    Atomics.store(this.#state, arrived, 0);
    Atomics.add(this.#state, steps, 1);
    Atomics.notify(this.#state, steps);
  }
}

/** Bytes that a thread needs for itself. */
export function scratchBytes(kernels: Kernels, depth: number): number {
  return Math.ceil(kernels.scratchBytes!(depth) / 64) * 64;
}

/** Waits until a number is no longer `value`. */
function wait(state: Int32Array, place: number, value: number): void {
  for (let spin = 0; spin < spins; spin++) if (Atomics.load(state, place) !== value) return;
  while (Atomics.load(state, place) === value) Atomics.wait(state, place, value);
}

function share(units: number, thread: number, threads: number): readonly [from: number, to: number] {
  return [Math.floor((units * thread) / threads), Math.floor((units * (thread + 1)) / threads)];
}

/** Divides the pixels of a convolution in whole tiles; where there are few, its filters in whole panels. */
function sharesOfConv(units: number, panels: number, tileRows: number, thread: number, threads: number) {
  const tiles = Math.ceil(units / tileRows);
  if (tiles < 4 * threads && panels >= threads) return [[0, units], share(panels, thread, threads)] as const;
  const [from, to] = share(tiles, thread, threads);
  return [
    [from * tileRows, Math.min(to * tileRows, units)],
    [0, panels],
  ] as const;
}
