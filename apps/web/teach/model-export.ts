import { type StoredType, storedTypeSuffixes } from "../../../src/graph/weights.ts";
import { button, h } from "../dom.ts";
import { runJob } from "../jobs.ts";
import { attempt } from "../notice.ts";
import { texts } from "../texts.ts";

const words = texts.teach;

/** The first one is the default: a model for a friend is small, and answers as it does here. */
const types = ["float16", "int8", "float32"] as const satisfies readonly StoredType[];

/** Hands out the trained model with its weights in a type that the user chooses, and shows how large each file is. */
export class ModelExport {
  /** The types, one of which is chosen. */
  readonly choice = h("fieldset", { class: "weight-types" }, h("legend", {}, words.weights));
  readonly button = button(words.exportModel, () => void attempt(() => this.#save()), { disabled: true });
  readonly #sizes = new Map<StoredType, HTMLElement>();
  #model: Blob | undefined;
  #files: ReadonlyMap<StoredType, Promise<Blob>> = new Map();

  constructor() {
    for (const type of types) {
      const { name, cost } = words.weightTypes[type];
      const size = h("span", { class: "size" });
      this.#sizes.set(type, size);
      const input = h("input", { type: "radio", name: "weight-type", value: type, checked: type === types[0] });
      this.choice.append(h("label", {}, input, h("span", {}, name), size, h("small", {}, cost)));
    }
  }

  /** Offers another model, or none. */
  offer(model: Blob | undefined): void {
    this.#model = model;
    this.button.disabled = model === undefined;
    this.#files = new Map(model && types.map((type) => [type, storedAs(type, model)]));
    for (const [type, size] of this.#sizes) {
      size.textContent = "";
      // A failure is reported when this file is asked for.
      void this.#files.get(type)?.then(
        (file) => {
          if (model === this.#model) size.textContent = words.megabytes((file.size / 1e6).toFixed(1));
        },
        () => {},
      );
    }
  }

  async #save(): Promise<void> {
    const { value } = this.choice.querySelector<HTMLInputElement>("input:checked")!;
    const type = value as StoredType;
    saveFile(`model${storedTypeSuffixes[type]}.onnx`, await this.#files.get(type)!);
  }
}

function storedAs(type: StoredType, file: Blob): Promise<Blob> {
  // As it was written.
  return type === "float32" ? Promise.resolve(file) : runJob("convertModel", { file, dtype: type });
}

/** Hands a file to the user. */
export function saveFile(name: string, content: Blob): void {
  const address = URL.createObjectURL(content);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
