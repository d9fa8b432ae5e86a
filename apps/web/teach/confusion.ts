import { button, h, thumbnailOf } from "../dom.ts";
import { texts } from "../texts.ts";
import { store } from "./store.ts";

const words = texts.teach;

/** A prediction for an image whose class is known. */
export interface JudgedImage {
  readonly id: number;
  readonly truth: number;
  readonly predicted: number;
  /** Of the predicted class. */
  readonly probability: number;
}

/** Most classes in a matrix; more would be too small to read, so only the mistakes are listed. */
const largestMatrix = 12;
const shownMistakes = 12;

/** The confusion matrix; a cell shows the thumbnails of its images. Then the mistakes made with most confidence. */
export function confusionOf(labels: readonly string[], judged: readonly JudgedImage[]): HTMLElement {
  const detail = h("div", { class: "thumbnails large", ariaLive: "polite" });
  const show = (title: string, images: readonly JudgedImage[]) => {
    void thumbnailsOf(images.slice(0, 24), labels).then((items) =>
      detail.replaceChildren(h("p", { class: "muted" }, title), ...items),
    );
  };
  const mistakes = judged
    .filter(({ truth, predicted }) => truth !== predicted)
    .sort((a, b) => b.probability - a.probability);
  show(mistakes.length === 0 ? words.noMistakes : words.mistakes(mistakes.length), mistakes.slice(0, shownMistakes));
  if (labels.length > largestMatrix) return h("div", {}, detail);
  const cell = (truth: number, predicted: number) => {
    const images = judged.filter((each) => each.truth === truth && each.predicted === predicted);
    const title = words.cell(images.length, labels[truth]!, labels[predicted]!);
    const kind = truth === predicted ? "right" : "wrong";
    if (images.length === 0) return h("td", {}, "·");
    const count = button(String(images.length), () => show(title, images), { ariaLabel: title, title });
    return h("td", { class: kind }, count);
  };
  return h(
    "div",
    {},
    h("p", { class: "muted" }, words.matrixText),
    h(
      "div",
      { class: "scroll", tabIndex: 0, role: "region", ariaLabel: words.matrix },
      h(
        "table",
        { class: "matrix" },
        h("thead", {}, h("tr", {}, h("td", {}), ...labels.map((label) => h("th", { scope: "col" }, label)))),
        h(
          "tbody",
          {},
          ...labels.map((label, truth) =>
            h("tr", {}, h("th", { scope: "row" }, label), ...labels.map((_, predicted) => cell(truth, predicted))),
          ),
        ),
      ),
    ),
    detail,
  );
}

function thumbnailsOf(images: readonly JudgedImage[], labels: readonly string[]): Promise<HTMLElement[]> {
  return Promise.all(
    images.map(async ({ id, truth, predicted }) => {
      const image = await store.image(id);
      const text = truth === predicted ? labels[truth]! : words.mistake(labels[truth]!, labels[predicted]!);
      return h("figure", {}, thumbnailOf(image?.thumbnail, 72), h("figcaption", {}, text));
    }),
  );
}
