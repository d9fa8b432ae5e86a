import { readdir, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { DataError } from "../../src/base/errors.ts";
import { isAddress } from "../../src/base/source.ts";
import { WorkQueue } from "../../src/base/work-queue.ts";
import type { RepositoryIndexEntry } from "../../src/client/protocol.ts";
import { compareCodePoints } from "../../src/data/dataset.ts";
import { RefusedError } from "./exchange.ts";
import { type ModelContext, type ModelFile, ServedModel, shuttingDown } from "./served-model.ts";

/** Writes a line of the log. */
export type LogLine = (
  level: "info" | "warn" | "error",
  message: string,
  facts?: Readonly<Record<string, unknown>>,
) => void;

/** A model of the repository. */
interface Entry {
  served: ServedModel | undefined;
  /** The file's version, size and date when it was loaded or failed to load. */
  stamp: string | undefined;
  /** The stamp at the last look: a file that still changes is not read. */
  seen: string | undefined;
  isUnloaded: boolean;
  reason: string;
}

/** Files that are models; others in a repository are left alone. */
const modelExtensions = [".onnx", ".keras", ".h5"];

/**
 * The models of a file, a URL or a folder: `NAME/VERSION/model.onnx`, of which the highest version is served, or
 * `NAME.onnx`. A changed file is loaded beside the old one, which answers what it has accepted.
 */
export class Repository {
  readonly #root: string;
  readonly #context: ModelContext;
  readonly #log: LogLine;
  readonly #entries = new Map<string, Entry>();
  readonly #queue = new WorkQueue();
  readonly #retiring = new Set<Promise<void>>();
  #isLoaded = false;
  #isClosing = false;
  #poll: NodeJS.Timeout | undefined;

  /** @param root path of a model or of a folder of models, URL, or name of weights. */
  constructor(root: string, context: ModelContext, log: LogLine) {
    this.#root = root;
    this.#context = context;
    this.#log = log;
    context.metrics.collect(() => {
      for (const model of this.served) model.collect();
    });
  }

  /** Every model is loaded, but those unloaded on request, and the server is not shutting down. */
  get isReady(): boolean {
    const entries = [...this.#entries.values()].filter(({ isUnloaded }) => !isUnloaded);
    return this.#isLoaded && !this.#isClosing && entries.every(({ served }) => served !== undefined);
  }

  /** The loaded models. */
  get served(): readonly ServedModel[] {
    return [...this.#entries.values()].flatMap(({ served }) => served ?? []);
  }

  /**
   * Loads all models and then looks for changes from time to time.
   * @throws {DataError} the folder has no model.
   * @throws as {@link ServedModel.load}, if there is only one.
   */
  async load(): Promise<void> {
    const found = await this.#list();
    if (found.length === 0) {
      throw new DataError({
        where: `repository "${this.#root}"`,
        what: "it has no model",
        expected: "NAME/VERSION/model.onnx, or NAME.onnx",
      });
    }
    for (const { file } of found) this.#entryOf(file.name);
    for (const { file, stamp } of found) {
      await this.#queue
        .add(() => this.#replace(file, stamp))
        .catch((error) => {
          if (found.length === 1) throw error;
        });
    }
    this.#isLoaded = true;
    const { repositoryPollSecs } = this.#context.settings;
    if (repositoryPollSecs > 0 && !isAddress(this.#root)) {
      this.#poll = setInterval(() => void this.#queue.add(() => this.#look()), 1000 * repositoryPollSecs);
      this.#poll.unref();
    }
  }

  /**
   * Returns the model to answer a request.
   * @param name default: the only one.
   * @throws {RefusedError} there is no such model (404), or it is not loaded (503).
   */
  model(name: string | undefined, version?: string): ServedModel {
    if (this.#isClosing) throw shuttingDown();
    if (!this.#isLoaded && this.#entries.size === 0) throw notLoaded("server");
    const chosen = name ?? this.#onlyName();
    const entry = this.#entries.get(chosen);
    if (!entry) throw this.#unknown(chosen);
    const { served } = entry;
    if (!served) throw notLoaded(`model "${chosen}"`);
    if (version === undefined || version === served.file.version) return served;
    throw new RefusedError(404, {
      where: `model "${chosen}"`,
      what: "it has no such version in use",
      received: version,
      expected: served.file.version,
    });
  }

  /** Lists the models of the repository, loaded or not. */
  index(onlyReady: boolean): readonly RepositoryIndexEntry[] {
    return [...this.#entries].flatMap(([name, { served, reason }]) => {
      if (onlyReady && !served) return [];
      return [{ name, version: served?.file.version ?? "", state: served ? "READY" : "UNAVAILABLE", reason }];
    });
  }

  /**
   * Loads a model, or loads it again.
   * @throws {RefusedError} the repository has no such model.
   * @throws as {@link ServedModel.load}.
   */
  loadModel(name: string): Promise<void> {
    return this.#queue.add(async () => {
      const found = (await this.#list()).find(({ file }) => file.name === name);
      if (!found) throw this.#unknown(name);
      this.#entryOf(name).isUnloaded = false;
      await this.#replace(found.file, found.stamp);
    });
  }

  /** Takes a model out of use. @throws {RefusedError} there is no such model. */
  unloadModel(name: string): Promise<void> {
    return this.#queue.add(async () => {
      const entry = this.#entries.get(name);
      if (!entry) throw this.#unknown(name);
      this.#retire(entry.served);
      Object.assign(entry, { served: undefined, isUnloaded: true, reason: "unloaded" });
    });
  }

  /**
   * Refuses new requests, and answers those accepted.
   * @param graceMs after which those that are not running are refused, too.
   */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#poll);
    const { served } = this;
    const timer = setTimeout(() => {
      for (const model of served) model.refuseAll();
    }, graceMs);
    for (const model of served) this.#retire(model);
    await this.#queue.add(async () => {});
    await Promise.all(this.#retiring);
    clearTimeout(timer);
  }

  #entryOf(name: string): Entry {
    const isNew = { served: undefined, stamp: undefined, seen: undefined, isUnloaded: false, reason: "loading" };
    const entry: Entry = this.#entries.get(name) ?? isNew;
    this.#entries.set(name, entry);
    return entry;
  }

  #onlyName(): string {
    const names = [...this.#entries.keys()];
    if (names.length === 1) return names[0]!;
    throw new RefusedError(400, {
      where: "request",
      what: "it does not name a model",
      expected: `?model=NAME, one of ${names.join(", ")}`,
    });
  }

  #unknown(name: string): RefusedError {
    const expected = `one of ${[...this.#entries.keys()].join(", ")}`;
    return new RefusedError(404, { where: "repository", what: "it has no such model", received: name, expected });
  }

  /** Loads a version beside the one in use, and takes its place. */
  async #replace(file: ModelFile, stamp: string | undefined): Promise<void> {
    const entry = this.#entryOf(file.name);
    const { name, version } = file;
    const startMs = performance.now();
    entry.stamp = stamp;
    try {
      const served = await ServedModel.load(file, this.#context, (lost) => this.#restart(lost));
      if (this.#isClosing) return await served.retire();
      const old = entry.served;
      Object.assign(entry, { served, reason: "" });
      this.#retire(old);
      const seconds = Number(((performance.now() - startMs) / 1000).toFixed(2));
      const { preferredBatchSize, classifier } = served;
      this.#log("info", "model loaded", { model: name, version, seconds, preferredBatchSize, notes: classifier.notes });
    } catch (error) {
      entry.reason = (error as Error).message;
      this.#log("error", "model not loaded", { model: name, version, error: entry.reason });
      throw error;
    }
  }

  /** Loads a model again whose engine has stopped. */
  #restart(lost: ServedModel): void {
    const { file } = lost;
    const entry = this.#entryOf(file.name);
    if (entry.served !== lost) return;
    Object.assign(entry, { served: undefined, reason: "its engine stopped" });
    this.#log("error", "engine stopped", { model: file.name });
    this.#retire(lost);
    // If that fails, the error is in the log and in the index.
    void this.#queue.add(async () => entry.isUnloaded || this.#replace(file, entry.stamp)).catch(() => {});
  }

  #retire(served: ServedModel | undefined): void {
    if (!served) return;
    const retirement = served.retire().catch((error: Error) => {
      this.#log("error", "model not freed", { model: served.file.name, error: error.message });
    });
    this.#retiring.add(retirement);
    void retirement.then(() => this.#retiring.delete(retirement));
  }

  /** Loads files that have changed and no longer change. */
  async #look(): Promise<void> {
    if (this.#isClosing) return;
    const found = await this.#list().catch((error: Error) => {
      this.#log("warn", "repository not readable", { error: error.message });
      return [];
    });
    for (const { file, stamp } of found) {
      const entry = this.#entryOf(file.name);
      const isSettled = entry.seen === stamp;
      entry.seen = stamp;
      if (entry.reason === fileGone) entry.reason = "";
      if (!isSettled || stamp === entry.stamp || entry.isUnloaded) continue;
      // The error is in the log and in the index.
      await this.#replace(file, stamp).catch(() => {});
    }
    for (const [name, entry] of this.#entries) {
      if (found.length === 0 || found.some(({ file }) => file.name === name)) continue;
      if (entry.served && entry.reason !== fileGone) this.#log("warn", "model file gone", { model: name });
      entry.reason = fileGone;
    }
  }

  /** The models now there, each with a stamp that changes when it does. */
  async #list(): Promise<readonly { readonly file: ModelFile; readonly stamp: string | undefined }[]> {
    const root = this.#root;
    const status = isAddress(root) ? undefined : await stat(root).catch(() => undefined);
    if (!status?.isDirectory()) {
      const name = basename(root, extname(root)) || "model";
      return [{ file: { name, version: "1", source: root }, stamp: status && stampOf("1", status) }];
    }
    const found: { file: ModelFile; stamp: string | undefined }[] = [];
    for (const entry of (await readdir(root)).sort(byPrecedence)) {
      const path = join(root, entry);
      const inside = await stat(path).catch(() => undefined);
      if (inside?.isFile() && modelExtensions.includes(extname(entry))) {
        found.push({
          file: { name: basename(entry, extname(entry)), version: "1", source: path },
          stamp: stampOf("1", inside),
        });
      }
      if (inside?.isDirectory()) found.push(...(await latestVersion(entry, path)));
    }
    // Of models of the same name the first: both would take each other's place.
    const byName = new Map(found.reverse().map((each) => [each.file.name, each]));
    return [...byName.values()].sort((a, b) => compareCodePoints(a.file.name, b.file.name));
  }
}

/** Folders first, then files by their extension as in {@link modelExtensions}. */
function byPrecedence(a: string, b: string): number {
  return modelExtensions.indexOf(extname(a)) - modelExtensions.indexOf(extname(b));
}

/** The highest version in a model's folder. */
async function latestVersion(name: string, folder: string) {
  const versions = (await readdir(folder))
    .filter((each) => /^[1-9]\d*$/.test(each))
    .sort((a, b) => Number(b) - Number(a));
  for (const version of versions) {
    for (const extension of modelExtensions) {
      const source = join(folder, version, `model${extension}`);
      const status = await stat(source).catch(() => undefined);
      if (status?.isFile()) return [{ file: { name, version, source }, stamp: stampOf(version, status) }];
    }
  }
  return [];
}

const fileGone = "its file is gone; the loaded one is still served";

function stampOf(version: string, { mtimeMs, size, ino }: { mtimeMs: number; size: number; ino: number }): string {
  return [version, mtimeMs, size, ino].join(" ");
}

function notLoaded(where: string): RefusedError {
  return new RefusedError(503, { where, what: "it is not loaded", remedy: "Try again later." }, 1);
}
