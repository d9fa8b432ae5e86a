import type { ClassProbability } from "../../../src/base/records.ts";
import { formatPercent } from "../../../src/report/numbers.ts";
import { h } from "../dom.ts";
import { texts } from "../texts.ts";

/** Rows that are always there, so that nothing moves when predictions arrive. */
const rows = 5;

/** The top classes with bars; dispatches `explain` with the label of a chosen one. */
export class PredictionList extends HTMLElement {
  readonly #rows = Array.from({ length: rows }, () => {
    const [label, bar, percent] = [
      h("span", { class: "label" }),
      h("span", { class: "fill" }),
      h("span", { class: "percent" }),
    ];
    const button = h("button", { type: "button", disabled: true }, label, percent, h("span", { class: "track" }, bar));
    button.addEventListener("click", () => {
      this.dispatchEvent(new CustomEvent("explain", { detail: label.textContent }));
    });
    return { item: h("li", {}, button), button, label, bar, percent };
  });
  readonly #headline = h("p", { class: "headline", ariaLive: "polite" });

  connectedCallback(): void {
    if (this.firstChild) return;
    this.append(this.#headline, h("ol", { class: "predictions" }, ...this.#rows.map(({ item }) => item)));
    this.clear();
  }

  /** Shows the classes, most probable first; below `unknownBelow` none of them is the answer. */
  show(predictions: readonly ClassProbability[], unknownBelow = 0): void {
    const best = predictions[0]!;
    this.#headline.textContent = best.probability < unknownBelow ? texts.try.unknown : best.label;
    for (const [index, { item, button, label, bar, percent }] of this.#rows.entries()) {
      const found = predictions[index];
      item.classList.toggle("empty", found === undefined);
      if (!found) continue;
      button.disabled = false;
      label.textContent = found.label;
      percent.textContent = formatPercent(found.probability);
      bar.style.width = `${100 * found.probability}%`;
    }
  }

  /** Marks the class that the heat map explains. */
  mark(explained: string | undefined): void {
    for (const { button, label } of this.#rows) button.ariaPressed = String(label.textContent === explained);
  }

  /** Empties all rows. */
  clear(): void {
    this.#headline.textContent = "";
    for (const { item, button, label, bar, percent } of this.#rows) {
      item.classList.add("empty");
      button.disabled = true;
      button.ariaPressed = "false";
      label.textContent = "";
      percent.textContent = "";
      bar.style.width = "0";
    }
  }
}

customElements.define("prediction-list", PredictionList);
