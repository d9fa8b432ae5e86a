import type { Command } from "commander";
import type { Device } from "../../../src/base/platform.ts";
import {
  batchSettings,
  limitSettings,
  repositorySettings,
  type ServeSettings,
  serveSettings,
} from "../../server/settings.ts";
import { addClassifierOptions, type ClassifierFlags, classifierArguments } from "../classifier-options.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addCommand, countOf } from "../options.ts";
import { packageVersion } from "../package-version.ts";
import { addSettingOptions } from "../setting-options.ts";

interface ServeFlags extends Partial<ServeSettings>, Omit<ClassifierFlags, "top"> {
  readonly host: string;
  readonly port: number;
  readonly modelControl?: boolean;
  readonly device?: Device;
  readonly json?: boolean;
}

const settingGroups = [
  [batchSettings, "Batching"],
  [limitSettings, "Limits"],
  [repositorySettings, "Repository"],
] as const;

export function registerServe(program: Command, io: CliIo): void {
  const command = addCommand(program, "serve <model>", {
    summary: "Serve models over HTTP, as Triton and KServe do",
    details:
      "Answers POST /classify with an image as the body, and the Open Inference Protocol, version 2. MODEL is a file in any " +
      "supported format, a URL, a name of xception weights, or a folder of models (NAME/VERSION/model.onnx or NAME.onnx), " +
      "whose changes are loaded while it runs. SIGTERM and Ctrl-C finish the accepted requests. The log, one JSON line for " +
      "each request, goes to standard error.",
    examples: ["xception serve run/model.onnx", "xception serve models/ --host 0.0.0.0 --port 8000"],
  })
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <n>", "port to listen on; 0: any free one", countOf("--port", { from: 0, to: 65_535 }), 8000)
    .option("--model-control", "let clients load and unload models");
  for (const [table, title] of settingGroups) addSettingOptions(command, table, title);
  addClassifierOptions(command).action(async (source: string, flags: ServeFlags) => {
    const { platform, options } = await classifierArguments(command, modelFlags(flags), io);
    const { host, port, modelControl, device, json } = flags;
    // On first use: no other command needs its packages.
    const { createServer } = await import("../../server/server.ts");
    const server = await createServer({
      source,
      platform,
      model: options,
      session: { device },
      settings: serveSettings(givenSettings(flags)),
      modelControl,
      version: packageVersion,
      log: (line) => io.stderr(line),
    });
    const { signal } = io;
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    try {
      const url = await server.listen({ host, port });
      await Promise.race([server.load(), stopped]);
      if (!signal.aborted) {
        if (json) writeJson(io, { url });
        else io.stdout(`Serving ${source} at ${url}\n`);
      }
      await stopped;
    } finally {
      await server.close();
    }
  });
}

const settingNames = settingGroups.flatMap(([table]) => Object.keys(table));

function givenSettings(flags: ServeFlags): Partial<ServeSettings> {
  const given = Object.entries(flags).filter(([name, value]) => settingNames.includes(name) && value !== undefined);
  return Object.fromEntries(given);
}

/** The flags about the model. */
function modelFlags(flags: ServeFlags): ClassifierFlags {
  const own = ["host", "port", "modelControl", "device", "json", ...settingNames];
  return Object.fromEntries(Object.entries(flags).filter(([name]) => !own.includes(name)));
}
