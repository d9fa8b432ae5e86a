import golden from "../../../tests/golden/xception-paper-71x71-10.json?raw";
import { button, h } from "../dom.ts";
import { runJob } from "../jobs.ts";
import { verbs } from "../library.ts";
import { currentModel, useAnyModel } from "../models.ts";
import { attempt } from "../notice.ts";
import { texts } from "../texts.ts";
import type { Capabilities } from "./capabilities.ts";

const words = texts.prove;

/** Images that are classified to measure the speed, after one that warms up. */
const timedImages = 20;

/** What this browser can do, how fast it is here, and how far its numbers are from Keras's. */
export class ProveView extends HTMLElement {
  readonly #capabilities: Capabilities;
  readonly #speed = h("p", { class: "big", ariaLive: "polite" });
  readonly #speedText = h("p", { class: "muted status below" });
  /** Only where there is a GPU. */
  readonly #gpuText = h("p", { class: "muted status below" });
  readonly #difference = h("p", { class: "big", ariaLive: "polite" });
  readonly #differenceText = h("p", { class: "muted status below" });
  readonly #taps = h("table", { class: "taps" });

  constructor(capabilities: Capabilities) {
    super();
    this.#capabilities = capabilities;
  }

  connectedCallback(): void {
    if (this.firstChild) return;
    const measure = workButton(words.measure, () => this.#measure());
    const compare = workButton(words.compare, () => this.#compare());
    this.#showTaps(Object.keys((JSON.parse(golden) as { readonly taps: object }).taps));
    const gpuPart = this.#capabilities.gpu === undefined ? [] : [this.#gpuText];
    this.append(
      h("h1", {}, words.title),
      h("p", { class: "lead" }, words.lead),
      h(
        "div",
        { class: "prove" },
        h("section", { class: "card" }, h("h2", {}, words.browser), factsOf(this.#capabilities)),
        h(
          "div",
          { class: "stacked" },
          h("section", { class: "card" }, h("h2", {}, words.speed), this.#speed, this.#speedText, ...gpuPart, measure),
          h(
            "section",
            { class: "card" },
            h("h2", {}, words.fidelity),
            h("p", { class: "muted" }, words.fidelityText),
            this.#difference,
            this.#differenceText,
            compare,
            this.#taps,
          ),
        ),
      ),
    );
  }

  /** Classifies a gray image some times; each time counts everything from pixels to answer. */
  async #measure(): Promise<void> {
    await useAnyModel();
    const { classifier, title, source } = currentModel.value!;
    const { width, height } = classifier.inputSize;
    const image = { width, height, data: new Uint8Array(3 * width * height).fill(128) };
    const times: number[] = [];
    for (let run = 0; run <= timedImages; run++) {
      const start = performance.now();
      await classifier.classify(image);
      if (run > 0) times.push(performance.now() - start);
      this.#speedText.textContent = words.measuring(run, timedImages);
    }
    const median = times.sort((a, b) => a - b)[timedImages / 2]!;
    this.#speed.textContent = words.milliseconds(median.toFixed(median < 10 ? 1 : 0));
    const { name, threads } = classifier.engine!;
    this.#speedText.textContent = words.speedOf(title, `${width}×${height}`, Math.round(1000 / median), name, threads);
    if (this.#capabilities.gpu === undefined) return;
    this.#gpuText.textContent = words.measuringGpu;
    const fastest = await verbs.loadClassifier(source, { session: { device: "fastest" } });
    this.#gpuText.textContent = fastest.engine!.reasons.join(" ");
    await fastest.dispose();
  }

  async #compare(): Promise<void> {
    this.#differenceText.textContent = words.comparing;
    const { taps, probabilities, passed } = await runJob("compareWithKeras", golden);
    const exponent = (value: number) => value.toExponential(1);
    const worst = Math.max(...taps.map(({ difference }) => difference));
    this.#difference.textContent = exponent(worst);
    this.#difference.className = passed ? "big well" : "big ill";
    this.#differenceText.textContent = words.verdict(passed, exponent(probabilities?.difference ?? 0));
    this.#showTaps(
      taps.map(({ layer }) => layer),
      taps.map(({ difference }) => exponent(difference)),
    );
  }

  /** Shows the compared layers, from the start, so that nothing moves when their differences arrive. */
  #showTaps(layers: readonly string[], differences: readonly string[] = []): void {
    this.#taps.replaceChildren(
      h("caption", { class: "visually-hidden" }, words.taps),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, words.layer), h("th", { scope: "col" }, words.difference))),
      h(
        "tbody",
        {},
        ...layers.map((layer, index) =>
          h("tr", {}, h("th", { scope: "row" }, layer), h("td", {}, differences[index] ?? "–")),
        ),
      ),
    );
  }
}

/** A button that is disabled while it works. */
function workButton(text: string, work: () => Promise<void>): HTMLButtonElement {
  const made = button(text, () => {
    made.disabled = true;
    void attempt(work).then(() => Object.assign(made, { disabled: false }));
  });
  made.className = "primary below";
  return made;
}

function factsOf({ vectors, threads, isolated, gpu, half }: Capabilities): HTMLElement {
  const fact = (name: string, value: string, note = "") =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value, h("small", {}, note)));
  return h(
    "dl",
    {},
    fact(words.vectors, words.vectorsOf[vectors]),
    fact(words.threads, isolated ? String(threads) : "1", isolated ? "" : words.threadsLocked(threads)),
    fact(words.isolation, isolated ? words.yes : words.no, isolated ? "" : words.isolationHow),
    fact(words.gpu, gpu ?? words.no, gpu ? "" : words.gpuMissing),
    fact(words.half, half ? words.yes : words.no),
  );
}

customElements.define("prove-view", ProveView);
