/** A child of an element: nothing is shown for `undefined` and `false`. */
export type Child = Node | string | undefined | false;

/** Properties, attributes and listeners (`onclick`) of an element. */
type Attributes = Readonly<Record<string, unknown>>;

/** Creates an HTML element. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  return filled(document.createElement(tag), attributes, children);
}

/** Creates an SVG element. */
export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Tag] {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** Creates a button. */
export function button(text: string, onclick?: () => unknown, attributes: Attributes = {}): HTMLButtonElement {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

/** Creates a square picture of a stored image, whose memory is freed once it is drawn; it is empty without one. */
export function thumbnailOf(image: Blob | undefined, side: number): HTMLImageElement {
  const src = image && URL.createObjectURL(image);
  const onload = () => URL.revokeObjectURL(src!);
  return h("img", { class: "thumbnail", src, alt: "", width: side, height: side, onload });
}

function filled<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (name === "class") element.setAttribute("class", String(value));
    else if (element instanceof HTMLElement && name in element) Object.assign(element, { [name]: value });
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== undefined && child !== false));
  return element;
}

/** A value that views observe; at first there is none. */
export class Observable<T> {
  #value: T | undefined;
  readonly #listeners = new Set<(value: T | undefined) => void>();

  get value(): T | undefined {
    return this.#value;
  }

  set value(value: T | undefined) {
    this.#value = value;
    for (const listener of this.#listeners) listener(value);
  }

  /** Calls the listener now and after every change. */
  observe(listener: (value: T | undefined) => void): void {
    this.#listeners.add(listener);
    listener(this.#value);
  }
}
