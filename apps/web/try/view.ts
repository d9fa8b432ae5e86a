import { formatPercent } from "../../../src/report/numbers.ts";
import type { Explanation } from "../../../src/tasks/explain/explainer.ts";
import { button, h, thumbnailOf } from "../dom.ts";
import {
  type ChosenImage,
  camera,
  currentImage,
  type DroppedFile,
  droppedFiles,
  fileButton,
  hasImageType,
  stopCamera,
  toggleCamera,
} from "../images.ts";
import { currentModel, type PageModel, useAnyModel } from "../models.ts";
import { attempt, notify } from "../notice.ts";
import { similarImages } from "../teach/similar.ts";
import { texts } from "../texts.ts";
import { drawHeatMap } from "./heat-map.ts";
import { isModelFile, ModelCard, openModelFiles } from "./model-card.ts";
import { PredictionList } from "./predictions.ts";
import { sampleImages } from "./samples.ts";
import { ImageStage } from "./stage.ts";

const words = texts.try;

/** Classifies an image or the webcam, and shows where the evidence of a class is. */
export class TryView extends HTMLElement {
  readonly #stage = new ImageStage();
  readonly #predictions = new PredictionList();
  readonly #speed = h("p", { class: "muted speed" });
  readonly #slider = h("input", { type: "range", id: "evidence", min: "0", max: "100", value: "0" });
  readonly #similar = h("section", { class: "card similar", hidden: true, ariaLabel: words.similar });
  readonly #evidence = h("span", { class: "muted" });
  #explanation: Explanation | undefined;
  /** Stops the work for an image when another one is chosen. */
  #work = new AbortController();

  connectedCallback(): void {
    if (this.firstChild) return;
    const label = { text: words.choose, class: "button primary" };
    const file = fileButton(label, (files) => this.#take(files), { id: "image-file", accept: "image/*" });
    const webcam = button(words.webcam, () => void attempt(toggleCamera));
    this.#stage.append(h("p", { class: "invitation" }, words.drop));
    this.append(
      h("h1", {}, words.title),
      h("p", { class: "lead" }, words.lead),
      h(
        "div",
        { class: "try" },
        h("div", { class: "card" }, this.#stage, h("div", { class: "row" }, ...file, webcam), this.#samples()),
        h(
          "div",
          { class: "stacked" },
          h(
            "section",
            { class: "card answer", ariaLabel: words.answer },
            this.#predictions,
            this.#speed,
            this.#evidenceControl(),
          ),
          new ModelCard(),
          this.#similar,
        ),
      ),
    );
    this.#predictions.addEventListener("explain", (event) => void this.#explain((event as CustomEvent<string>).detail));
    this.#listen();
    camera.observe((stream) => {
      webcam.textContent = stream ? words.webcamStop : words.webcam;
      if (stream) void attempt(() => this.#classifyCamera());
    });
    currentImage.observe((image) => void attempt(() => this.#classify(image)));
    currentModel.observe((model) => model && void attempt(() => this.#classify(currentImage.value)));
    void attempt(useAnyModel);
  }

  #samples(): HTMLElement {
    const take = (name: string, address: string) =>
      attempt(async () => this.#choose({ name, file: await (await fetch(address)).blob() }));
    return h(
      "div",
      { class: "samples", role: "group", ariaLabel: words.samplesTitle },
      ...sampleImages.map(([name, address]) =>
        h(
          "button",
          { type: "button", title: name, onclick: () => void take(name, address) },
          h("img", { src: address, alt: name, width: 40, height: 40 }),
        ),
      ),
    );
  }

  #evidenceControl(): HTMLElement {
    this.#slider.addEventListener("input", () => {
      if (this.#explanation) this.#drawEvidence();
      else if (currentImage.value) void this.#explain(undefined);
    });
    return h(
      "div",
      { class: "evidence" },
      h("label", { htmlFor: "evidence" }, words.evidence),
      this.#slider,
      this.#evidence,
    );
  }

  /** Takes files that are dropped or pasted anywhere on the page, while this view is shown. */
  #listen(): void {
    document.addEventListener("drop", (event) => {
      if (!this.isConnected || !event.dataTransfer) return;
      void droppedFiles(event.dataTransfer).then((files) => this.#take(files));
    });
    document.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])].map((file) => ({ file, path: file.name }));
      if (this.isConnected && files.length > 0) void this.#take(files);
    });
  }

  async #take(files: readonly DroppedFile[]): Promise<void> {
    const image = files.find(({ file }) => hasImageType(file));
    if (image) this.#choose({ name: image.file.name, file: image.file });
    else if (files.some(({ file }) => isModelFile(file))) await openModelFiles(files);
    else if (files.length > 0) notify(words.neither(files[0]!.file.name));
  }

  #choose(image: ChosenImage): void {
    stopCamera();
    currentImage.value = image;
  }

  async #classify(image: ChosenImage | undefined): Promise<void> {
    this.#work.abort();
    this.#work = new AbortController();
    const { signal } = this.#work;
    this.#forgetExplanation();
    const model = currentModel.value;
    if (!image || !model || camera.value) return;
    const start = performance.now();
    const predictions = await model.classifier.classify(image.file, { signal }).catch((error: unknown) => {
      if (!signal.aborted) {
        this.#predictions.clear();
        this.#speed.textContent = "";
      }
      throw error;
    });
    if (signal.aborted) return;
    this.#predictions.show(predictions, model.unknownBelow);
    this.#speed.textContent = words.speed(Math.round(performance.now() - start));
    if (Number(this.#slider.value) > 0) await this.#explain(undefined);
    await attempt(() => this.#showSimilar(model, image, signal), signal);
  }

  async #showSimilar(model: PageModel, image: ChosenImage, signal: AbortSignal): Promise<void> {
    const found = await similarImages(model, image, 5);
    if (signal.aborted) return;
    this.#similar.hidden = found.length === 0;
    const items = found.map(({ image: { thumbnail }, label, similarity }) => {
      return h("figure", {}, thumbnailOf(thumbnail, 72), h("figcaption", {}, `${label} ${formatPercent(similarity)}`));
    });
    this.#similar.replaceChildren(h("h2", {}, words.similar), h("div", { class: "thumbnails large" }, ...items));
  }

  /** Classifies the webcam's latest image, again and again, as fast as the model can. */
  async #classifyCamera(): Promise<void> {
    this.#work.abort();
    this.#forgetExplanation();
    const { video } = this.#stage;
    const stream = camera.value;
    while (camera.value === stream) {
      const model = currentModel.value;
      if (model && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && this.isConnected) {
        const start = performance.now();
        const predictions = await model.classifier.classify(video as never);
        this.#predictions.show(predictions, model.unknownBelow);
        this.#speed.textContent = words.speed(Math.round(performance.now() - start));
      }
      await new Promise(requestAnimationFrame);
    }
  }

  /** Explains a class of the chosen image, by default the top one. */
  async #explain(label: string | undefined): Promise<void> {
    const [model, image, { signal }] = [currentModel.value, currentImage.value, this.#work];
    if (!model || !image || camera.value) return;
    await attempt(async () => {
      this.#evidence.textContent = words.explaining;
      const explainer = await model.explainer();
      const explanation = await explainer.explain(image.file, { label, signal });
      if (signal.aborted) return;
      this.#explanation = explanation;
      if (this.#slider.value === "0") this.#slider.value = "55";
      this.#predictions.mark(explanation.label);
      this.#drawEvidence();
    }, signal);
    if (!this.#explanation && !signal.aborted) this.#evidence.textContent = words.evidenceHint;
  }

  #drawEvidence(): void {
    const { cover } = this.#stage;
    const explanation = this.#explanation!;
    const opacity = Number(this.#slider.value) / 100;
    cover.hidden = opacity === 0;
    this.#evidence.textContent =
      explanation.maximum > 0 ? words.evidenceOf(explanation.label) : words.noEvidence(explanation.label);
    drawHeatMap(cover, explanation.image, explanation, opacity);
  }

  #forgetExplanation(): void {
    this.#explanation = undefined;
    this.#similar.hidden = true;
    this.#stage.cover.hidden = true;
    this.#evidence.textContent = words.evidenceHint;
    this.#predictions.mark(undefined);
  }
}

customElements.define("try-view", TryView);
