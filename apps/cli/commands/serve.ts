import type { Command } from "commander";
import { UsageError } from "../../../src/base/errors.ts";
import { listOf, text } from "../../../src/base/kinds.ts";
import type { Device } from "../../../src/base/platform.ts";
import { readFile } from "../../../src/runtime/node/files.ts";
import {
  batchSettings,
  limitSettings,
  repositorySettings,
  type ServeSettings,
  serveSettings,
} from "../../server/settings.ts";
import { addClassifierOptions, type ClassifierFlags, classifierArguments } from "../classifier-options.ts";
import { type CliIo, writeJson } from "../io.ts";
import { packageVersion } from "../machine.ts";
import { addHelp, countOf, valueReader } from "../options.ts";
import { addSettingOptions, givenSettings } from "../setting-options.ts";

interface ServeFlags extends Partial<ServeSettings>, Omit<ClassifierFlags, "pixelLimit"> {
  readonly host: string;
  readonly port: number;
  readonly grpcPort?: number;
  readonly modelControl?: boolean;
  readonly apiKeyFile?: string;
  readonly corsOrigin?: readonly string[];
  readonly allowUrl?: readonly string[];
  readonly device?: Device;
  readonly json?: boolean;
}

export default function registerServe(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "Answers POST /classify with an image as the body, and the Open Inference Protocol, version 2. MODEL is a file in any " +
      "supported format, a URL, a name of xception weights, or a folder of models (NAME/VERSION/model.onnx or NAME.onnx), " +
      "whose changes are loaded while it runs. SIGTERM and Ctrl-C finish the accepted requests. The log, one JSON line for " +
      "each request, goes to standard error.",
    examples: ["xception serve run/model.onnx", "xception serve models/ --host 0.0.0.0 --port 8000"],
  })
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <n>", "port to listen on; 0: any free one", portOf("--port"), 8000)
    .option(
      "--grpc-port <n>",
      "port for gRPC, with the packages @grpc/grpc-js and @grpc/proto-loader",
      portOf("--grpc-port"),
    )
    .option("--model-control", "let clients load and unload models")
    .option("--api-key-file <file>", "keys of which clients must send one, one per line")
    .option("--cors-origin <url,url>", "origins whose pages may ask from a browser", namesOf("--cors-origin"))
    .option("--allow-url <host,host>", "hosts that images may be downloaded from", namesOf("--allow-url"));
  addSettingOptions(command, batchSettings, "Batching");
  addSettingOptions(command, limitSettings, "Limits");
  addSettingOptions(command, repositorySettings, "Repository");
  // Its own limit is lower: images come from strangers.
  addClassifierOptions(command, { withPixelLimit: false }).action(async (source: string, flags: ServeFlags) => {
    const { platform, options } = await classifierArguments(command, flags, io);
    const { host, port, grpcPort, modelControl, apiKeyFile, corsOrigin, allowUrl, device, json } = flags;
    const apiKeys = await keysIn(apiKeyFile);
    // On first use: no other command needs its packages.
    const { createServer } = await import("../../server/server.ts");
    const server = await createServer({
      source,
      platform,
      model: options,
      session: { device },
      settings: serveSettings(givenSettings(flags, { ...batchSettings, ...limitSettings, ...repositorySettings })),
      modelControl,
      apiKeys,
      corsOrigins: corsOrigin,
      allowUrl,
      version: packageVersion,
      log: (line) => io.stderr(line),
    });
    const { signal } = io;
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    }).then(() => io.stderr("Finishing the accepted requests.\n"));
    try {
      const url = await server.listen({ host, port });
      const grpc = grpcPort === undefined ? undefined : await server.listenGrpc({ host, port: grpcPort });
      await Promise.race([server.load(), stopped]);
      if (!signal.aborted) {
        if (json) writeJson(io, { url, ...(grpc !== undefined && { grpcPort: grpc }) });
        else {
          io.stdout(`Serving ${source} at ${url}${grpc === undefined ? "" : `, gRPC on port ${grpc}`}\n`);
          io.stdout(`To try it on an image, open ${url}/try\n`);
        }
      }
      await stopped;
    } finally {
      await server.close();
    }
  });
}

const portOf = (flag: string) => countOf(flag, { from: 0, to: 65_535 });
const namesOf = (flag: string) => valueReader(flag, listOf(text("<name>")));

async function keysIn(file: string | undefined): Promise<readonly string[]> {
  if (file === undefined) return [];
  const lines = new TextDecoder().decode(await readFile(file)).split(/\r?\n/);
  const keys = lines.map((line) => line.trim()).filter((line) => line !== "");
  if (keys.length > 0) return keys;
  throw new UsageError({ where: "option --api-key-file", what: "the file has no key", received: file });
}
