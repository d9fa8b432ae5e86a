import { parentPort, workerData } from "node:worker_threads";
import { Runner, type RunnerOrder } from "../wasm/runner.ts";

const runner = new Runner(workerData as RunnerOrder);
parentPort!.postMessage("ready");
runner.follow();
