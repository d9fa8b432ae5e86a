#!/usr/bin/env node
import { constants } from "node:os";
import { buffer } from "node:stream/consumers";
import { launchedRank } from "../../src/runtime/node/mpi.ts";
import { run } from "./program.ts";

/** A reader that closes the pipe early, like `head`, is not an error. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    // A full disk behind the log must not end a server, and there is nowhere else to report it.
    if (stream === process.stderr) return;
    throw error;
  });
}

const interruption = new AbortController();
const signals = ["SIGINT", "SIGTERM"] as const;
let received: NodeJS.Signals | undefined;
const interrupt = (signal: NodeJS.Signals): void => {
  received = signal;
  // The next signal ends the process at once, even while the engine blocks this thread.
  unwatch();
  const showCursor = process.stderr.isTTY ? "\u001b[?25h" : "";
  // Of several ranks, only one prints this.
  if (launchedRank(process.env) === 0) process.stderr.write(`${showCursor}\nStopping; once more to stop at once.\n`);
  interruption.abort();
};
/** Number of reasons to handle signals; without one they end the process at once, even if it is busy. */
let watchers = 0;
const watch = (): AbortSignal => {
  if (watchers++ === 0 && received === undefined) for (const signal of signals) process.on(signal, interrupt);
  return interruption.signal;
};
function unwatch(): void {
  for (const signal of signals) process.off(signal, interrupt);
}

const exitCode = await run(process.argv.slice(2), {
  stdin: () => buffer(process.stdin),
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  isTTY: process.stderr.isTTY === true,
  columns: process.stdout.isTTY ? process.stdout.columns : undefined,
  get signal() {
    return watch();
  },
  async interruptible(work) {
    try {
      return await work(watch());
    } finally {
      if (--watchers === 0) unwatch();
    }
  },
});
// As shells report a process that a signal has ended. Images that are still being decoded are not waited for.
if (received !== undefined && exitCode !== 0) process.exit(128 + constants.signals[received]);
process.exitCode = exitCode;
