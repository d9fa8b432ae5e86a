import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { InjectOptions } from "fastify";
import { afterAll, beforeAll, expect } from "vitest";
import { createServer, type Server, type ServerOptions } from "../../apps/server/server.ts";
import { type ServeSettings, serveSettings } from "../../apps/server/settings.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { type Classifier, loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { smallModel } from "../model/small-model.ts";
import { noisePng } from "./noise-png.ts";

/** Options of a server for tests, and settings that differ from the defaults. */
export type ServingOptions = Partial<Omit<ServerOptions, "settings">> & { readonly settings?: Partial<ServeSettings> };

/** A server's reply. */
export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly bytes: Buffer;
  /** The body as JSON. */
  readonly json: <Document = Readonly<Record<string, unknown>>>() => Document;
}

/** A server of the smallest model, and the library's own answers to compare with. */
export interface Serving {
  readonly folder: string;
  /** Path of the model. */
  readonly model: string;
  readonly png: Uint8Array;
  readonly classifier: Classifier;
  readonly server: Server;
  /** Asks without a socket, and holds the reply to the server's own OpenAPI description. */
  readonly ask: (request: InjectOptions) => Promise<Answered>;
}

/** Starts a server before the tests of a file, and stops it after them. */
export function serving(options: ServingOptions = {}): Serving {
  const own = {} as { -readonly [Name in keyof Serving]: Serving[Name] };
  beforeAll(async () => {
    own.folder = await mkdtemp(join(tmpdir(), "xception-serve-"));
    own.model = join(own.folder, "small.onnx");
    await writeFile(own.model, encodeModel(smallModel()));
    own.png = await noisePng(1);
    own.classifier = await loadClassifier(own.model, { platform: nodePlatform });
    own.server = await testServer({ source: own.model, ...options });
    own.ask = await validating(own.server);
    await own.server.load();
  });
  afterAll(async () => {
    await own.server.close();
    await own.classifier.dispose();
    await rm(own.folder, { recursive: true });
  });
  return own;
}

/** A server that is not loaded. */
export function testServer({ settings, ...options }: ServingOptions & { readonly source: string }): Promise<Server> {
  return createServer({ platform: nodePlatform, version: "1.2.3", settings: serveSettings(settings), ...options });
}

interface Operation {
  readonly responses: Readonly<Record<string, { readonly content: Readonly<Record<string, object>> }>>;
}

/** Asks a server, and checks that its description has the reply's status, content type and document. */
export async function validating({ http }: Server): Promise<Serving["ask"]> {
  const description = (await http.inject("/openapi.json")).json();
  const ajv = new Ajv2020({ strict: false });
  ajv.addSchema(description, "api");
  const paths = Object.keys(description.paths);
  return async (request) => {
    const reply = await http.inject(request);
    const answered = {
      status: reply.statusCode,
      headers: reply.headers,
      bytes: reply.rawPayload,
      json: () => reply.json(),
    };
    const url = (request.url as string).split("?")[0]!;
    const path = paths.find((each) => new RegExp(`^${each.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(url));
    const method = (request.method ?? "GET").toLowerCase();
    const operation = path === undefined ? undefined : (description.paths[path][method] as Operation | undefined);
    const type = String(reply.headers["content-type"]).split(";")[0]!;
    if (operation === undefined) expect(reply.json()).toEqual({ error: expect.any(String) });
    else {
      const { content } = operation.responses[reply.statusCode] ?? expect.fail(`no ${reply.statusCode} in ${path}`);
      expect(Object.keys(content)).toContain(type);
      const keys = ["paths", path!, method, "responses", String(reply.statusCode), "content", type, "schema"];
      const pointer = keys
        .map((key) => key.replaceAll("~", "~0").replaceAll("/", "~1"))
        .map(encodeURIComponent)
        .join("/");
      if (type === "application/json" && "schema" in content[type]!) {
        const validate = ajv.getSchema(`api#/${pointer}`)!;
        expect(validate(reply.json()), JSON.stringify(validate.errors)).toBe(true);
      }
    }
    return answered;
  };
}
