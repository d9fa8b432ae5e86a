import { countParameters, type Network, networkWeights } from "../../../src/graph/network.ts";
import { alignedXception } from "../../../src/models/aligned/network.ts";
import { inceptionV3 } from "../../../src/models/inception/v3.ts";
import { xception } from "../../../src/models/xception/paper.ts";
import { networkCost } from "../../../src/report/cost.ts";
import { formatRounded, withMetricPrefix } from "../../../src/report/numbers.ts";
import { h } from "../dom.ts";
import { texts } from "../texts.ts";
import { NetworkGraph } from "./graph.ts";
import { describeLayerOf } from "./layer-panel.ts";
import { SeparableDemo } from "./separable-demo.ts";

const words = texts.inside;

/** Networks that can be looked at without weights. */
const networks: Readonly<Record<string, readonly [title: string, build: () => Network]>> = {
  paper: [words.networks.paper, () => xception()],
  tutorial: [words.networks.tutorial, () => xception({ variant: "tutorial" })],
  inception: [words.networks.inception, () => inceptionV3()],
  aligned: [words.networks.aligned, () => alignedXception({ variant: "65" })],
};

/** The network as a graph, and what each layer does. */
export class InsideView extends HTMLElement {
  #network = xception();
  readonly #totals = h("p", { class: "muted totals" });
  readonly #graph = new NetworkGraph();
  readonly #panel = h("aside", { class: "card panel", ariaLive: "polite" });
  readonly #select = h("select", { id: "network", onchange: () => this.#show() });

  connectedCallback(): void {
    if (this.firstChild) return;
    this.#select.append(...Object.entries(networks).map(([name, [title]]) => h("option", { value: name }, title)));
    this.#graph.addEventListener("choose", (event) => this.#describe((event as CustomEvent<string>).detail));
    this.append(
      h("h1", {}, words.title),
      h("p", { class: "lead" }, words.lead),
      h("div", { class: "chooser" }, h("label", { htmlFor: "network" }, words.network), this.#select, this.#totals),
      h("div", { class: "inside" }, h("div", { class: "card graph-card" }, this.#graph), this.#panel),
      h("section", { class: "card" }, new SeparableDemo()),
    );
    this.#show();
  }

  #show(): void {
    this.#network = networks[this.#select.value]![1]();
    const { layers } = this.#network;
    const parameters = formatRounded(countParameters(networkWeights(this.#network)).total);
    const macs = withMetricPrefix(networkCost(this.#network).total.multiplications);
    this.#totals.textContent = words.totals(String(layers.length), parameters, macs);
    const first = layers.find(({ config }) => config.type === "SeparableConv2D") ?? layers[0]!;
    this.#graph.show(this.#network, first.name);
    this.#describe(first.name);
  }

  #describe(name: string): void {
    const layer = this.#network.layers.find((each) => each.name === name)!;
    this.#panel.replaceChildren(describeLayerOf(this.#network, layer));
  }
}

customElements.define("inside-view", InsideView);
