import { parentPort, workerData } from "node:worker_threads";
import { packError } from "../error-transfer.ts";
import { type JobAnswer, type JobOrder, limitWasmMemory, started } from "./isolation.ts";

/** TypeScript has no types of WebAssembly outside of browsers. */
interface WasmFunctions {
  instantiate(source: unknown, imports: unknown): Promise<{ readonly module?: object }>;
}

const { WebAssembly: functions } = globalThis as unknown as { WebAssembly: WasmFunctions };

/** The WebAssembly programs that this thread has compiled. */
const programs: object[] = [];
const { instantiate } = functions;
functions.instantiate = async (source, imports) => {
  const result = await instantiate(source, imports);
  if (result.module) programs.push(result.module);
  return result;
};

const loading = load(workerData as string);
// An error before the job arrives is reported as its result.
loading.catch(() => {});
parentPort!.once("message", (order: JobOrder) => void answer(order));

type Functions = Readonly<Record<string, (...input: readonly unknown[]) => unknown>>;

async function load(module: string): Promise<Functions> {
  const functions = (await import(module)) as Functions;
  await functions.prepare?.();
  return functions;
}

async function answer({ name, input, memoryBytes }: JobOrder): Promise<void> {
  limitWasmMemory(memoryBytes);
  try {
    const functions = await loading;
    parentPort!.postMessage(started);
    const result = await functions[name]!(...input);
    post({ result, programs }, [...buffersIn(result)]);
  } catch (error) {
    post(packError(error), []);
  }
}

function post(answer: JobAnswer, buffers: ArrayBuffer[]): void {
  parentPort!.postMessage(answer, buffers);
}

/** Buffers that can be transferred instead of copied. */
function buffersIn(value: unknown, found = new Set<ArrayBuffer>()): Set<ArrayBuffer> {
  if (ArrayBuffer.isView(value)) {
    if (value.buffer instanceof ArrayBuffer) found.add(value.buffer);
  } else if (value instanceof Map) {
    for (const each of value.values()) buffersIn(each, found);
  } else if (typeof value === "object" && value !== null) {
    for (const each of Object.values(value)) buffersIn(each, found);
  }
  return found;
}
