import { parentPort, workerData } from "node:worker_threads";
import { Runner, type ThreadOrder } from "../wasm/runner.ts";

const runner = new Runner(workerData as ThreadOrder);
parentPort!.postMessage("ready");
runner.follow();
