import { Runner, type RunnerOrder } from "../wasm/runner.ts";

/** The scope of a worker, as far as it is used here. */
const scope = globalThis as unknown as {
  onmessage: (event: { readonly data: RunnerOrder }) => void;
  postMessage(message: unknown): void;
  close(): void;
};

scope.onmessage = ({ data }) => {
  const runner = new Runner(data);
  scope.postMessage("ready");
  runner.follow();
  scope.close();
};
