import { formatPercent } from "../../../src/report/numbers.ts";
import { button, h } from "../dom.ts";
import { camera, type DroppedFile, droppedFiles, fileButton, hasImageType, stopCamera } from "../images.ts";
import { currentModel, useAnyModel, useModel } from "../models.ts";
import { attempt, notify } from "../notice.ts";
import { texts } from "../texts.ts";
import { ClassCard } from "./class-card.ts";
import { confusionOf } from "./confusion.ts";
import { drawCurves } from "./curves.ts";
import { embedMissing } from "./embedding.ts";
import type { HeadEpoch } from "./head.ts";
import { ModelExport, saveFile } from "./model-export.ts";
import { exportArchive, importArchive } from "./project-files.ts";
import { store } from "./store.ts";
import { fineTune, setUnknownBelow, type Taught, teachHead } from "./training.ts";

const words = texts.teach;

/** Teaches the network new classes: images by class, training, the result, and files to take along. */
export class TeachView extends HTMLElement {
  readonly #cards = h("div", { class: "stacked" });
  readonly #video = h("video", { muted: true, playsInline: true });
  readonly #camera = h(
    "div",
    { class: "camera-corner", hidden: true },
    this.#video,
    button(texts.try.webcamStop, stopCamera),
  );
  readonly #content = h("div", { class: "teach" });
  readonly #backbone = h("p", { class: "muted" });
  readonly #train = button(words.train, () => void this.#teach("head"), { class: "primary", disabled: true });
  readonly #fineTune = button(words.fineTune, () => void this.#teach("block"), { disabled: true });
  readonly #stop = button(words.stop, () => this.#running?.abort());
  readonly #progress = h("progress", { max: 1, value: 0, ariaLabel: words.train });
  readonly #status = h("p", { class: "muted status", role: "status" });
  readonly #curves = h("div", { class: "curve-pair" });
  readonly #result = h(
    "section",
    { class: "card result" },
    h("h2", {}, words.result),
    h("p", { class: "muted" }, words.noResult),
  );
  readonly #modelExport = new ModelExport();
  readonly #exports: HTMLButtonElement[] = [];
  /** What replaces the project: not while it is trained on. */
  readonly #replacing = h("fieldset", { class: "row" });
  #running: AbortController | undefined;

  connectedCallback(): void {
    if (this.firstChild) return;
    const folders = fileButton({ text: words.addFolders }, (files) => this.#addFolders(files), {
      ...{ id: "folders", multiple: true, webkitdirectory: true },
    });
    this.#content.append(
      h(
        "div",
        { class: "stacked" },
        this.#cards,
        h(
          "div",
          { class: "row" },
          button(words.addClass, () => void attempt(() => this.#addClass())),
          ...folders,
        ),
        h("p", { class: "muted hint" }, words.drop),
      ),
      h("div", { class: "stacked" }, this.#trainingCard(), this.#result, this.#filesCard()),
    );
    this.append(h("h1", {}, words.title), h("p", { class: "lead" }, words.lead), this.#content, this.#camera);
    document.addEventListener("drop", (event) => {
      if (!this.isConnected || !event.dataTransfer) return;
      const dropped = droppedFiles(event.dataTransfer);
      void attempt(async () => this.#addFolders(await dropped));
    });
    camera.observe((stream) => {
      this.#video.srcObject = stream ?? null;
      this.#camera.hidden = stream === undefined;
      if (stream) void this.#video.play();
    });
    currentModel.observe((model) => {
      this.#backbone.textContent = words.backbone(model?.title ?? "…");
    });
    void attempt(() => this.#start());
  }

  #trainingCard(): HTMLElement {
    this.#stop.hidden = true;
    return h(
      "section",
      { class: "card training-card", ariaLabel: words.train },
      h("p", {}, words.trainText),
      this.#backbone,
      h("div", { class: "row" }, this.#train, this.#fineTune, this.#stop),
      this.#progress,
      this.#status,
      this.#curves,
      h("p", { class: "muted" }, words.fineTuneText),
    );
  }

  #filesCard(): HTMLElement {
    const save = (name: string, title: string, content: () => Promise<Blob>) => {
      const action = () => void attempt(async () => saveFile(name, await content()));
      this.#exports.push(button(title, action, { disabled: true }));
      return this.#exports.at(-1)!;
    };
    const archive = fileButton({ text: words.import }, ([chosen]) => this.#import(chosen!.file), {
      ...{ id: "archive", accept: ".zip" },
    });
    const clear = button(words.clear);
    clear.addEventListener("click", () => {
      if (clear.textContent === words.clear) clear.textContent = words.clearAgain;
      else void attempt(() => this.#clear()).then(() => Object.assign(clear, { textContent: words.clear }));
    });
    clear.addEventListener("blur", () => Object.assign(clear, { textContent: words.clear }));
    this.#replacing.append(...archive, clear);
    return h(
      "section",
      { class: "card files-card", ariaLabel: words.files },
      h("h2", {}, words.files),
      h("p", { class: "muted" }, words.filesText),
      this.#modelExport.choice,
      h(
        "div",
        { class: "row" },
        this.#modelExport.button,
        save("images.zip", words.exportImages, async () => exportArchive(await store.classes(), false)),
        save("project.zip", words.exportProject, async () => exportArchive(await store.classes(), true)),
      ),
      this.#replacing,
    );
  }

  /** Adds the classes of the stored project, or two empty ones for a start. */
  async open(): Promise<void> {
    const classes = await store.classes();
    for (const taught of classes) this.#addCard(new ClassCard(taught, this.#video));
    for (let missing = classes.length; missing < 2; missing++) await this.#addClass();
  }

  /** Puts the stored project's model to use. */
  async #start(): Promise<void> {
    const model = await store.model();
    if (model && currentModel.value?.title !== model.title) {
      await attempt(() => useModel(model.title, model.file, model.unknownBelow));
    }
    this.#modelExport.offer(model?.file);
    await useAnyModel();
    await this.#update();
  }

  async #addClass(name?: string): Promise<ClassCard> {
    const taken = (await store.classes()).map((taught) => taught.name);
    let number = 1;
    while (taken.includes(words.newClass(number))) number += 1;
    const card = new ClassCard(await store.addClass(name ?? words.newClass(number)), this.#video);
    this.#addCard(card);
    return card;
  }

  #addCard(card: ClassCard): void {
    card.addEventListener("change", () => void attempt(() => this.#update()));
    card.addEventListener("remove", () => void attempt(() => this.#update()));
    this.#cards.append(card);
  }

  /** Adds images to the classes named like their folders; one without a folder cannot be placed. */
  async #addFolders(files: readonly DroppedFile[]): Promise<void> {
    const byClass = new Map<string, File[]>();
    for (const { file, path } of files) {
      const folder = path.split("/").at(-2);
      if (folder !== undefined && hasImageType(file)) byClass.set(folder, [...(byClass.get(folder) ?? []), file]);
    }
    if (files.length > 0 && byClass.size === 0) notify(words.noFolders);
    await this.#addNamed(byClass);
  }

  async #addNamed(images: ReadonlyMap<string, readonly Blob[]>): Promise<void> {
    for (const [name, own] of images) {
      const cards = [...this.#cards.querySelectorAll("class-card")] as ClassCard[];
      const card = cards.find(({ taught }) => taught.name === name) ?? (await this.#unusedCard(cards));
      await card?.rename(name);
      await (card ?? (await this.#addClass(name))).addImages(own);
    }
    await this.#update();
  }

  /** One of the two classes for a start, if it has no images yet: taking it instead of a new one moves nothing. */
  async #unusedCard(cards: readonly ClassCard[]): Promise<ClassCard | undefined> {
    for (const card of cards) {
      const { id, name } = card.taught;
      if (/^\D+ [12]$/.test(name) && (await store.countImages(id)) === 0) return card;
    }
    return undefined;
  }

  /** Enables what is possible now, and computes embeddings ahead. */
  async #update(): Promise<void> {
    const classes = await store.classes();
    const counts = await Promise.all(classes.map(({ id }) => store.countImages(id)));
    const isReady = counts.filter((count) => count >= 2).length >= 2;
    const model = await store.model();
    this.#train.disabled = !isReady || this.#running !== undefined;
    this.#fineTune.disabled = !isReady || model === undefined || this.#running !== undefined;
    for (const each of this.#exports) each.disabled = counts.every((count) => count === 0);
    this.#replacing.disabled = this.#running !== undefined;
    if (this.#running) return;
    if (!isReady) this.#status.textContent = words.needs;
    else if (this.#status.textContent === words.needs) this.#status.textContent = words.ready;
    await embedMissing(classes);
  }

  async #teach(what: "head" | "block"): Promise<void> {
    this.#running = new AbortController();
    this.#stop.hidden = what === "head";
    this.#train.disabled = true;
    this.#fineTune.disabled = true;
    this.#replacing.disabled = true;
    const follower = {
      status: (text: string, share: number) => {
        this.#status.textContent = text;
        this.#progress.value = share;
      },
      curves: (history: readonly HeadEpoch[]) => this.#drawCurves(history),
    };
    await attempt(async () => {
      const classes = await this.#classesWithImages();
      const taught = await (what === "head"
        ? teachHead(classes, follower)
        : fineTune(classes, this.#running!.signal, follower));
      this.#showResult(taught);
      this.#modelExport.offer((await store.model())?.file);
    });
    this.#running = undefined;
    this.#stop.hidden = true;
    await attempt(() => this.#update());
  }

  async #classesWithImages() {
    const classes = await store.classes();
    const counts = await Promise.all(classes.map(({ id }) => store.countImages(id)));
    const used = classes.filter((_, index) => counts[index]! > 0);
    if (new Set(used.map(({ name }) => name)).size < used.length) throw new Error(words.sameNames);
    return used;
  }

  #drawCurves(history: readonly HeadEpoch[]): void {
    const pair = (title: string, own: keyof HeadEpoch, heldOut: keyof HeadEpoch, format: (value: number) => string) =>
      drawCurves(
        title,
        [
          { name: words.training, values: history.map((epoch) => epoch[own]), color: "accent" },
          { name: words.heldOut, values: history.map((epoch) => epoch[heldOut]), color: "second" },
        ],
        format,
      );
    this.#curves.replaceChildren(
      pair(words.loss, "loss", "heldOutLoss", (value) => value.toFixed(3)),
      pair(words.accuracy, "accuracy", "heldOutAccuracy", formatPercent),
    );
  }

  #showResult({ labels, history, judged, isHeldOut }: Taught): void {
    const right = judged.filter(({ truth, predicted }) => truth === predicted).length / judged.length;
    this.#status.textContent = isHeldOut ? words.finished(formatPercent(right)) : words.finishedWithout;
    this.#drawCurves(history);
    const threshold = h("input", {
      type: "range",
      id: "unknown",
      min: "0",
      max: "99",
      value: String(100 * (currentModel.value?.unknownBelow ?? 0)),
    });
    const [value, effect] = [h("output", { htmlFor: "unknown" }), h("p", { class: "muted" })];
    const update = () => {
      const below = Number(threshold.value) / 100;
      const unknown = judged.filter(({ probability }) => probability < below).length;
      value.textContent = formatPercent(below);
      effect.textContent = words.unknownText(formatPercent(judged.length === 0 ? 0 : unknown / judged.length));
      void attempt(() => setUnknownBelow(below));
    };
    threshold.addEventListener("input", update);
    update();
    this.#result.replaceChildren(
      h(
        "div",
        { class: "heading" },
        h("h2", {}, words.result),
        h("a", { class: "button primary", href: "#try" }, words.tryIt),
      ),
      confusionOf(labels, judged),
      h("div", { class: "evidence" }, h("label", { htmlFor: "unknown" }, words.unknown), threshold, value, effect),
    );
  }

  async #import(file: File): Promise<void> {
    const { images, model } = await importArchive(file);
    if (images.size === 0 && !model) throw new Error(words.emptyArchive);
    await this.#addNamed(images);
    if (!model) return;
    await useModel(words.modelTitle, model.file, model.unknownBelow);
    await store.saveModel({ title: words.modelTitle, ...model });
    this.#modelExport.offer(model.file);
    await this.#update();
  }

  async #clear(): Promise<void> {
    await store.clear();
    this.#modelExport.offer(undefined);
    this.#cards.replaceChildren();
    this.#result.replaceChildren(h("h2", {}, words.result), h("p", { class: "muted" }, words.noResult));
    this.#curves.replaceChildren();
    for (const _ of [1, 2]) await this.#addClass();
    await this.#update();
  }
}

customElements.define("teach-view", TeachView);
