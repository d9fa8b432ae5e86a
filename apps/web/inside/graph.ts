import type { LayerConfig } from "../../../src/graph/layers.ts";
import type { Network } from "../../../src/graph/network.ts";
import { formatShape } from "../../../src/tensor/shape.ts";
import { button, h, svg } from "../dom.ts";
import { texts } from "../texts.ts";
import { boxSize, edgePath, type GraphLayout, layOut, type PlacedLayer } from "./layout.ts";

const margin = 24;
const zoomLevels = [0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1, 1.25, 1.6, 2] as const;

/** A network as a zoomable graph; dispatches `choose` with the name of a layer. */
export class NetworkGraph extends HTMLElement {
  #layout: GraphLayout = { columns: [], layers: [], width: 0, height: 0 };
  #chosen = "";
  #zoom = 1;
  readonly #boxes = new Map<string, HTMLButtonElement>();
  readonly #surface = h("div", { class: "surface" });
  readonly #jumps = h("div", { class: "jumps", role: "group", ariaLabel: texts.inside.jump });
  readonly #viewport = h("div", { class: "viewport", role: "group", ariaLabel: texts.inside.graph }, this.#surface);

  connectedCallback(): void {
    if (this.firstChild) return;
    const zoomButton = (label: string, sign: string, action: () => void) =>
      button(sign, action, { class: "round", ariaLabel: label, title: label });
    this.append(
      h(
        "div",
        { class: "graph-bar" },
        this.#jumps,
        h(
          "div",
          { class: "zoom" },
          zoomButton(texts.inside.zoomOut, "−", () => this.#step(-1)),
          zoomButton(texts.inside.zoomIn, "+", () => this.#step(1)),
          button(texts.inside.fit, () => this.fit()),
        ),
      ),
      this.#viewport,
    );
    this.#viewport.addEventListener("keydown", (event) => this.#move(event));
    this.#viewport.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        this.#zoomTo(this.#zoom * Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
      },
      { passive: false },
    );
  }

  /** Draws a network and chooses one of its layers. */
  show(network: Network, chosen: string): void {
    this.#layout = layOut(network);
    const { columns, layers, width, height } = this.#layout;
    const placed = new Map(layers.map((each) => [each.layer.name, each]));
    const edges = layers.flatMap((to) => to.layer.inbound.map((name) => edgePath(placed.get(name)!, to)));
    this.#boxes.clear();
    for (const each of layers) this.#boxes.set(each.layer.name, this.#box(each));
    const drawing = svg(
      "svg",
      { width: width + 2 * margin, height: height + 2 * margin, "aria-hidden": "true", class: "edges" },
      svg("path", { d: edges.join(""), transform: `translate(${margin} ${margin})` }),
    );
    const titles = columns.map(({ title, x }) => {
      const heading = h("span", { class: "flow" }, title ?? network.name);
      heading.style.left = `${x + margin}px`;
      return heading;
    });
    this.#surface.style.width = `${width + 2 * margin}px`;
    this.#surface.style.height = `${height + 2 * margin}px`;
    this.#surface.replaceChildren(drawing, ...titles, ...this.#boxes.values());
    this.#jumps.replaceChildren(
      ...columns
        .filter(({ title }) => title !== undefined && !title.includes("continued"))
        .map(({ title, x }) => button(title!.split(" ")[0]!, () => this.#scrollToColumn(x))),
    );
    this.choose(chosen);
    this.#zoomTo(1);
    this.#viewport.scrollTo(0, 0);
  }

  /** Marks a layer; with `focus` it also gets the focus and scrolls into view. */
  choose(name: string, focus = false): void {
    const before = this.#boxes.get(this.#chosen);
    before?.removeAttribute("aria-current");
    if (before) before.tabIndex = -1;
    this.#chosen = name;
    const box = this.#boxes.get(name);
    if (!box) return;
    box.tabIndex = 0;
    box.setAttribute("aria-current", "true");
    if (focus) {
      box.focus({ preventScroll: true });
      this.#reveal(box);
    }
  }

  /** Zooms out until the whole network fits. */
  fit(): void {
    const { clientWidth, clientHeight } = this.#viewport;
    this.#zoomTo(Math.min(1, clientWidth / this.#surface.offsetWidth, clientHeight / this.#surface.offsetHeight));
  }

  #box({ layer, x, y }: PlacedLayer): HTMLButtonElement {
    const { name, config, outputShape } = layer;
    const box = h(
      "button",
      {
        type: "button",
        class: `box ${colorOf(config)}`,
        tabIndex: -1,
        title: `${config.type}, ${formatShape(outputShape)}`,
        onclick: () => this.#announce(name),
      },
      h("span", {}, name),
    );
    box.style.left = `${x + margin}px`;
    box.style.top = `${y + margin}px`;
    box.style.width = `${boxSize.width}px`;
    box.style.height = `${boxSize.height}px`;
    return box;
  }

  #announce(name: string, focus = false): void {
    this.choose(name, focus);
    this.dispatchEvent(new CustomEvent("choose", { detail: name }));
  }

  /** Up and down: the neighbors in the column; left and right: the nearest layer of the next lane or column. */
  #move(event: KeyboardEvent): void {
    if (event.key === "+") this.#step(1);
    if (event.key === "-") this.#step(-1);
    const direction = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    const own = this.#layout.layers.find(({ layer }) => layer.name === this.#chosen);
    if (!direction || !own) return;
    event.preventDefault();
    const [right, down] = direction as [number, number];
    const costs = this.#layout.layers.flatMap((each) => {
      const [dx, dy] = [each.x - own.x, each.y - own.y];
      const [along, across] = right === 0 ? [dy * down, Math.abs(dx)] : [dx * right, Math.abs(dy)];
      return along > 0 ? [{ name: each.layer.name, cost: along + 3 * across }] : [];
    });
    const nearest = costs.sort((a, b) => a.cost - b.cost)[0];
    if (nearest) this.#announce(nearest.name, true);
  }

  #step(direction: 1 | -1): void {
    const wanted =
      direction > 0
        ? zoomLevels.find((level) => level > this.#zoom * 1.01)
        : zoomLevels.findLast((level) => level < this.#zoom * 0.99);
    if (wanted !== undefined) this.#zoomTo(wanted);
  }

  /** Zooms around a point of the screen, by default the middle. */
  #zoomTo(wanted: number, clientX?: number, clientY?: number): void {
    const zoom = Math.min(2, Math.max(0.1, wanted));
    const bounds = this.#viewport.getBoundingClientRect();
    const x = (clientX ?? bounds.left + bounds.width / 2) - bounds.left;
    const y = (clientY ?? bounds.top + bounds.height / 2) - bounds.top;
    const scale = zoom / this.#zoom;
    const [left, top] = [this.#viewport.scrollLeft, this.#viewport.scrollTop];
    this.#zoom = zoom;
    this.#surface.style.setProperty("zoom", String(zoom));
    this.#viewport.scrollTo((left + x) * scale - x, (top + y) * scale - y);
  }

  #scrollToColumn(x: number): void {
    if (this.#zoom < 0.45) this.#zoomTo(1);
    this.#viewport.scrollTo({ left: x * this.#zoom, top: 0, behavior: "smooth" });
  }

  #reveal(box: HTMLElement): void {
    const [view, own] = [this.#viewport.getBoundingClientRect(), box.getBoundingClientRect()];
    this.#viewport.scrollBy({
      left: own.left < view.left + 40 || own.right > view.right - 40 ? own.left - view.left - view.width / 3 : 0,
      top: own.top < view.top + 40 || own.bottom > view.bottom - 40 ? own.top - view.top - view.height / 2 : 0,
      behavior: "instant",
    });
  }
}

/** Class of a box, which the style sheet colors: related layers have related colors. */
function colorOf({ type }: LayerConfig): string {
  if (/Conv2D$/.test(type)) return type === "Conv2D" ? "convolution" : "separable";
  if (/ReLU$|^Activation$/.test(type)) return "activation";
  if (/Pooling2D$/.test(type)) return "pooling";
  if (/^(Add|Concatenate)$/.test(type)) return "merge";
  if (/^(Dense|Dropout)$/.test(type)) return "head";
  return "plain";
}

customElements.define("network-graph", NetworkGraph);
