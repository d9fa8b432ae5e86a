#!/usr/bin/env node
import { buffer } from "node:stream/consumers";
import { launchedRank } from "../../src/runtime/node/mpi.ts";
import { run } from "./program.ts";

/** A reader that closes the pipe early, like `head`, is not an error. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
}

const interruption = new AbortController();
const signals = ["SIGINT", "SIGTERM"] as const;
const interrupt = (): void => {
  // The next signal ends the process at once, even while the engine blocks this thread.
  for (const signal of signals) process.off(signal, interrupt);
  const showCursor = process.stderr.isTTY ? "\u001b[?25h" : "";
  // Of several ranks, only one prints this.
  if (launchedRank(process.env) === 0)
    process.stderr.write(`${showCursor}\nStopping after this step; once more to stop at once.\n`);
  interruption.abort();
};
let isWatching = false;
/** Handles signals from the first time that a command asks for `io.signal`; until then they end the process, even if it is busy. */
const watch = (): AbortSignal => {
  if (!isWatching) for (const signal of signals) process.on(signal, interrupt);
  isWatching = true;
  return interruption.signal;
};

process.exitCode = await run(process.argv.slice(2), {
  stdin: () => buffer(process.stdin),
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  isTTY: process.stderr.isTTY === true,
  columns: process.stdout.isTTY ? process.stdout.columns : undefined,
  get signal() {
    return watch();
  },
});
