import { networkCost } from "../../../src/graph/cost.ts";
import { countParameters, type Network, networkWeights } from "../../../src/graph/network.ts";
import { alignedXception } from "../../../src/models/aligned/network.ts";
import { inceptionV3 } from "../../../src/models/inception/v3.ts";
import { xception } from "../../../src/models/xception/paper.ts";
import { formatRounded, withMetricPrefix } from "../../../src/report/numbers.ts";
import { h } from "../dom.ts";
import { currentModel, type PageModel, useAnyModel } from "../models.ts";
import { attempt } from "../notice.ts";
import { texts } from "../texts.ts";
import { FeatureMaps } from "./feature-maps.ts";
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
  #network: Network | undefined;
  /** The loaded model's network, once it is known. */
  #loaded: Network | undefined;
  readonly #totals = h("p", { class: "muted totals" });
  readonly #graph = new NetworkGraph();
  readonly #description = h("div", { ariaLive: "polite" });
  readonly #maps = new FeatureMaps();
  readonly #select = h("select", { id: "network", onchange: () => this.#show() });

  connectedCallback(): void {
    if (this.firstChild) return;
    this.#select.append(...Object.entries(networks).map(([name, [title]]) => h("option", { value: name }, title)));
    // Until there is a layer above it.
    this.#maps.hidden = true;
    this.#graph.addEventListener("choose", (event) => this.#describe((event as CustomEvent<string>).detail));
    this.append(
      h("h1", {}, words.title),
      h("p", { class: "lead" }, words.lead),
      h("div", { class: "chooser" }, h("label", { htmlFor: "network" }, words.network), this.#select, this.#totals),
      h(
        "div",
        { class: "inside" },
        h("div", { class: "card graph-card" }, this.#graph),
        h("aside", { class: "card panel", ariaLabel: words.panel }, this.#description, this.#maps),
      ),
      h("section", { class: "card" }, new SeparableDemo()),
    );
    // A model in use is shown as soon as its network is known.
    if (currentModel.value === undefined) this.#show();
    currentModel.observe((model) => {
      this.#loaded = undefined;
      if (model) void attempt(() => this.#load(model));
    });
    void attempt(useAnyModel);
  }

  async #load(model: PageModel): Promise<void> {
    try {
      const network = await model.network();
      if (model === currentModel.value) this.#offer(model.title, network);
    } catch (error) {
      if (model !== currentModel.value) return;
      // A graph of another tool may have no layers: the choices are those without it.
      const isShown = this.#network === undefined || this.#select.value === "loaded";
      this.#select.querySelector("[value=loaded]")?.remove();
      if (isShown) this.#show();
      throw error;
    }
  }

  /** Adds the loaded model's network to the choices; it is shown unless another one was chosen. */
  #offer(title: string, network: Network): void {
    this.#loaded = network;
    const option = this.#select.querySelector<HTMLOptionElement>("[value=loaded]") ?? h("option", { value: "loaded" });
    option.textContent = words.networks.current(title);
    if (!option.isConnected) this.#select.prepend(option);
    if (this.#network === undefined) this.#select.value = "loaded";
    if (this.#select.value === "loaded") this.#show();
  }

  #show(): void {
    const { value } = this.#select;
    const network = value === "loaded" ? this.#loaded : networks[value]![1]();
    // It is being loaded.
    if (!network) return;
    this.#network = network;
    const { layers } = network;
    const parameters = formatRounded(countParameters(networkWeights(network)).total);
    const macs = withMetricPrefix(networkCost(network).total.multiplications);
    this.#totals.textContent = words.totals(String(layers.length), parameters, macs);
    const first = layers.find(({ config }) => config.type === "SeparableConv2D") ?? layers[0]!;
    this.#graph.show(network, first.name);
    this.#describe(first.name);
  }

  #describe(name: string): void {
    const network = this.#network!;
    const layer = network.layers.find((each) => each.name === name)!;
    this.#maps.hidden = false;
    this.#description.replaceChildren(describeLayerOf(network, layer));
    this.#maps.show(network === this.#loaded ? layer : undefined);
  }
}

customElements.define("inside-view", InsideView);
