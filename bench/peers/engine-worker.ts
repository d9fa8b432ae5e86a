/// <reference lib="webworker" />
/** Our WebAssembly engine in a worker, where it may wait for its threads: a message with a program loads it, one with images runs it. */

import { createProgramSession, type ImageSession } from "../../src/runtime/wasm/session.ts";
import type { KernelBuild } from "../../src/runtime/wasm/web-assembly.ts";
import { startProgramThread } from "../../src/runtime/web/program-threads.ts";

/** The message that comes first. */
export interface EngineOrder {
  readonly program: Uint8Array;
  readonly threads: number;
  readonly build: KernelBuild;
}

let session: ImageSession | undefined;

addEventListener("message", async ({ data }: MessageEvent<EngineOrder | Float32Array>) => {
  if ("program" in data) {
    const { program, ...options } = data;
    session = await createProgramSession(program, { ...options, startThread: startProgramThread });
    postMessage("ready");
    return;
  }
  const outputs = await session!.run({ images: { type: "float32", shape: [1, 299, 299, 3], data } });
  postMessage(Object.values(outputs)[0]!.data);
});
