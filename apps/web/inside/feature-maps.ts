import type { Layer } from "../../../src/graph/network.ts";
import { heatColor } from "../../../src/report/heat-colors.ts";
import type { FloatTensor } from "../../../src/tensor/tensor.ts";
import { button, h } from "../dom.ts";
import { camera, currentImage, toggleCamera } from "../images.ts";
import { currentModel, type PageModel } from "../models.ts";
import { attempt } from "../notice.ts";
import { texts } from "../texts.ts";
import { canvasOf } from "../try/heat-map.ts";
import { ImageStage } from "../try/stage.ts";

const words = texts.inside;

/** Feature maps on one page, in rows and columns. */
const [perPage, perRow] = [36, 6];

/** The feature maps of a layer of the loaded model, for the chosen image or the running webcam. */
export class FeatureMaps extends HTMLElement {
  readonly #stage = new ImageStage();
  readonly #canvas = h("canvas", { role: "img", ariaLabel: words.maps });
  readonly #range = h("p", { class: "muted" });
  readonly #strongest = h("p", { class: "muted" });
  readonly #pages = [
    button("‹", () => this.#turn(-1), { class: "round", ariaLabel: words.mapsPrevious }),
    button("›", () => this.#turn(1), { class: "round", ariaLabel: words.mapsNext }),
  ] as const;
  #layer: Layer | undefined;
  #values: FloatTensor | undefined;
  #page = 0;
  /** Changes with the layer, the image and the model, so that late results are dropped. */
  #request = 0;

  connectedCallback(): void {
    if (this.firstChild) return;
    const webcam = button("", () => void attempt(toggleCamera));
    this.append(
      h("h2", { class: "minor" }, words.maps),
      h("div", { class: "row source" }, this.#stage, webcam),
      this.#range,
      this.#canvas,
      h("div", { class: "row" }, ...this.#pages, this.#strongest),
    );
    camera.observe((stream) => {
      webcam.textContent = stream ? texts.try.webcamStop : texts.try.webcam;
      void attempt(() => this.#compute());
    });
    currentImage.observe(() => void attempt(() => this.#compute()));
  }

  /** Shows a layer of the loaded model; undefined if the network in view is another one. */
  show(layer: Layer | undefined): void {
    this.#layer = layer;
    this.#page = 0;
    void attempt(() => this.#compute());
  }

  async #compute(): Promise<void> {
    this.#request += 1;
    const request = this.#request;
    const isCurrent = () => request === this.#request && this.isConnected;
    const [model, layer, image] = [currentModel.value, this.#layer, currentImage.value];
    this.#strongest.textContent = "";
    if (!layer || !model) return this.#clear(words.mapsNeedModel);
    if (!image && !camera.value) return this.#clear(words.mapsNeedImage);
    do {
      const { video } = this.#stage;
      const isReady = !camera.value || video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
      const maps = isReady ? mapsOf(model, layer.name, camera.value ? video : image!.file) : undefined;
      const values = await maps?.catch((error: unknown) => {
        if (isCurrent()) throw error;
      });
      if (!isCurrent()) return;
      if (values) this.#draw(values);
      if (camera.value) await new Promise(requestAnimationFrame);
    } while (camera.value && isCurrent());
  }

  #clear(reason: string): void {
    this.#values = undefined;
    this.#range.textContent = reason;
    this.#canvas.getContext("2d")!.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    for (const each of this.#pages) each.disabled = true;
  }

  #turn(direction: number): void {
    this.#page += direction;
    if (this.#values) this.#draw(this.#values);
  }

  #draw(values: FloatTensor): void {
    this.#values = values;
    const channels = values.shape.at(-1)!;
    const [height, width] = values.shape.length === 4 ? (values.shape.slice(1, 3) as [number, number]) : [1, 1];
    const first = this.#page * perPage;
    const last = Math.min(channels, first + perPage);
    const [back, forth] = this.#pages;
    back.disabled = first === 0;
    forth.disabled = last === channels;
    this.#range.textContent = words.mapsOf(first + 1, last, channels);
    this.#canvas.ariaLabel = this.#range.textContent;
    const size = 56;
    this.#canvas.width = perRow * size;
    this.#canvas.height = (perPage / perRow) * size;
    const context = this.#canvas.getContext("2d")!;
    context.imageSmoothingEnabled = height < 24;
    const [low, high] = rangeOf(values.data);
    for (let channel = first; channel < last; channel++) {
      const tile = canvasOf(width, height, (index) =>
        heatColor((values.data[index * channels + channel]! - low) / (high - low || 1)),
      );
      const place = channel - first;
      context.drawImage(tile, (place % perRow) * size, Math.floor(place / perRow) * size, size - 2, size - 2);
    }
    const strongest = values.data.indexOf(high) % channels;
    this.#strongest.textContent = words.strongest(strongest + 1);
  }
}

async function mapsOf(model: PageModel, layer: string, image: Blob | HTMLVideoElement): Promise<FloatTensor> {
  const extractor = await model.extractor();
  const [map] = await extractor.features(image, { layers: [layer] });
  return map!.values;
}

function rangeOf(values: Float32Array): readonly [low: number, high: number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

customElements.define("feature-maps", FeatureMaps);
