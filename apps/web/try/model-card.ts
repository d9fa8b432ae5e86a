import { withCommas } from "../../../src/report/numbers.ts";
import { button, h } from "../dom.ts";
import { type DroppedFile, fileButton } from "../images.ts";
import { currentModel, loadingModel, useEmoji, useModel } from "../models.ts";
import { attempt } from "../notice.ts";
import { texts } from "../texts.ts";

const words = texts.model;

/** The model in use, and three ways to open another one. */
export class ModelCard extends HTMLElement {
  readonly #title = h("h2", {}, words.loading);
  readonly #facts = h("p", { class: "muted facts-line" });
  readonly #notes = h("p", { class: "muted notes" });

  connectedCallback(): void {
    if (this.firstChild) return;
    const accept = ".onnx,.keras,.h5,.hdf5,.safetensors,.pth,.json,.bin";
    const files = fileButton({ text: words.open }, openModelFiles, { id: "model-file", multiple: true, accept });
    const address = h("input", { type: "url", placeholder: words.urlExample, ariaLabel: words.url, required: true });
    this.classList.add("card");
    this.append(
      h("p", { class: "kind" }, words.kind),
      this.#title,
      this.#facts,
      h(
        "details",
        {},
        h("summary", {}, words.other),
        h("p", { class: "muted" }, words.otherText),
        h(
          "div",
          { class: "row" },
          ...files,
          button(words.backToEmoji, () => void attempt(useEmoji)),
        ),
        h(
          "form",
          {
            class: "row",
            onsubmit: (event: Event) => {
              event.preventDefault();
              void attempt(() => useModel(new URL(address.value).pathname.split("/").at(-1)!, address.value));
            },
          },
          address,
          h("button", {}, words.load),
        ),
      ),
      // Below, so that nothing moves when they arrive.
      this.#notes,
    );
    currentModel.observe(() => this.#show());
    loadingModel.observe(() => this.#show());
  }

  #show(): void {
    const model = currentModel.value;
    this.ariaBusy = String(loadingModel.value !== undefined);
    this.#title.textContent =
      loadingModel.value === undefined ? (model?.title ?? words.none) : words.loadingOf(loadingModel.value);
    if (!model) return;
    const { labels, inputSize, notes } = model.classifier;
    this.#facts.textContent = words.facts(withCommas(labels.length), `${inputSize.width}×${inputSize.height}`);
    this.#notes.textContent = notes.join(" ");
  }
}

/** Opens the model among dropped or chosen files. */
export async function openModelFiles(files: readonly DroppedFile[]): Promise<void> {
  const found = files.find(({ file }) => isModelFile(file))?.file;
  if (!found) return;
  // A model of TensorFlow.js refers to the files of its folder.
  const others = files.map(({ file }) => file).filter((file) => file !== found);
  await attempt(() => useModel(found.name, /\.json$/i.test(found.name) ? [found, ...others] : found));
}

/** Returns whether a file is a model, by its name. */
export function isModelFile({ name }: File): boolean {
  return /\.(onnx|keras|h5|hdf5|safetensors|pth|pt|json)$/i.test(name);
}

customElements.define("model-card", ModelCard);
