import { compareConvolutions } from "../../../src/graph/cost.ts";
import { withCommas } from "../../../src/report/numbers.ts";
import { button, h } from "../dom.ts";
import { texts } from "../texts.ts";

const { ordinary, depthwise, separable } = compareConvolutions({
  kernelSize: [3, 3],
  inputChannels: 3,
  filters: 64,
  outputSize: [1, 1],
});

/** Seconds until the larger of the two is complete, and for which it then stands still. */
const seconds = { growing: 7, waiting: 3 };

/** Squares in a row. */
const columns = 54;

/** One grid of squares, and the colors of its parts by number of squares. */
interface Grid {
  readonly canvas: HTMLCanvasElement;
  readonly counter: HTMLElement;
  readonly parts: readonly (readonly [count: number, color: string])[];
}

/** Both kinds of convolution as squares, one for each weight, that appear at the same pace. */
export class SeparableDemo extends HTMLElement {
  #grids: readonly Grid[] = [];
  #elapsed = 0;
  #lastFrame: number | undefined;
  #playing = false;
  readonly #button = button("", () => this.#toggle());

  connectedCallback(): void {
    if (!this.firstChild) this.#build();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.#redraw);
    new ResizeObserver(this.#redraw).observe(this);
    this.#elapsed = seconds.growing;
    this.#setPlaying(false);
    // Starts when it is seen, unless the reader asked for less motion.
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const watcher = new IntersectionObserver((entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      watcher.disconnect();
      this.#toggle();
    });
    watcher.observe(this);
  }

  disconnectedCallback(): void {
    this.#setPlaying(false);
  }

  #build(): void {
    const words = texts.separable;
    const grid = (...parts: Grid["parts"]): Grid => ({
      canvas: h("canvas", { ariaHidden: "true" }),
      counter: h("strong", { class: "counter" }, "0"),
      parts,
    });
    const pointwise = separable.weights - depthwise.weights;
    const grids = [
      grid([ordinary.weights, "--second"]),
      grid([depthwise.weights, "--accent"], [pointwise, "--right"]),
    ] as const;
    this.#grids = grids;
    const half = ({ canvas, counter }: Grid, title: string, count: string, text: string, ...more: Node[]) =>
      h(
        "div",
        {},
        h("h3", {}, title),
        h("p", { class: "sum" }, counter, h("span", {}, `= ${count}`)),
        canvas,
        h("p", { class: "muted" }, text),
        ...more,
      );
    const key = h(
      "p",
      { class: "key" },
      h("span", { class: "depthwise" }, `${depthwise.weights} ${words.depthwise}`),
      h("span", { class: "pointwise" }, `${pointwise} ${words.pointwise}`),
    );
    this.append(
      h(
        "div",
        { class: "heading" },
        h("div", {}, h("h2", {}, words.title), h("p", { class: "muted" }, words.lead)),
        this.#button,
      ),
      h(
        "div",
        { class: "halves" },
        half(grids[0], words.ordinary, words.ordinaryCount, words.ordinaryText),
        half(grids[1], words.separable, words.separableCount, words.separableText, key),
      ),
      h("p", { class: "visually-hidden" }, words.description),
    );
  }

  readonly #redraw = (): void => {
    for (const grid of this.#grids) drawGrid(grid, Math.min(1, this.#elapsed / seconds.growing));
  };

  readonly #frame = (now: number): void => {
    if (!this.#playing) return;
    this.#elapsed += Math.min(0.1, (now - (this.#lastFrame ?? now)) / 1000);
    this.#lastFrame = now;
    if (this.#elapsed > seconds.growing + seconds.waiting) this.#elapsed = 0;
    this.#redraw();
    requestAnimationFrame(this.#frame);
  };

  #toggle(): void {
    if (!this.#playing && this.#elapsed >= seconds.growing) this.#elapsed = 0;
    this.#setPlaying(!this.#playing);
  }

  #setPlaying(playing: boolean): void {
    this.#playing = playing;
    this.#lastFrame = undefined;
    this.#button.textContent = playing ? texts.separable.pause : texts.separable.play;
    this.#redraw();
    if (playing) requestAnimationFrame(this.#frame);
  }
}

/** Draws the squares that are there at a moment from 0 to 1, on which the ordinary convolution is complete. */
function drawGrid({ canvas, counter, parts }: Grid, moment: number): void {
  const width = canvas.clientWidth;
  if (width === 0) return;
  const ratio = devicePixelRatio;
  const cell = width / columns;
  const rows = Math.ceil(ordinary.weights / columns);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(rows * cell * ratio);
  const context = canvas.getContext("2d")!;
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const [gap, size] = [cell * 0.18, cell * 0.82];
  const square = (index: number) =>
    context.fillRect((index % columns) * cell + gap / 2, Math.floor(index / columns) * cell + gap / 2, size, size);

  const total = parts.reduce((sum, [count]) => sum + count, 0);
  const shown = Math.min(total, Math.round(moment * ordinary.weights));
  context.fillStyle = style.getPropertyValue("--line");
  for (let index = shown; index < ordinary.weights; index++) square(index);
  let index = 0;
  for (const [count, color] of parts) {
    context.fillStyle = style.getPropertyValue(color);
    for (const end = Math.min(shown, index + count); index < end; index++) square(index);
  }
  counter.textContent = withCommas(shown);
}

customElements.define("separable-demo", SeparableDemo);
