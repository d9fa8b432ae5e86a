/** HTML text; everything else is escaped by templates of {@link html}. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Content = Markup | string | number | undefined | readonly Content[];

/**
 * Template tag whose values are escaped unless they are markup; lists are joined, `undefined` is empty.
 * @example html`<p>${"a < b"}</p>`.text // "<p>a &lt; b</p>"
 */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return new Markup(strings.reduce((text, part, index) => text + renderContent(values[index - 1]) + part));
}

function renderContent(content: Content): string {
  if (content === undefined) return "";
  if (content instanceof Markup) return content.text;
  if (typeof content === "object") return content.map(renderContent).join("");
  return String(content).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Encodes an image file as a data URL. */
export function imageUrl(type: "png" | "jpeg", content: Uint8Array): string {
  return `data:image/${type};base64,${base64(content)}`;
}

/** Encodes bytes as base64. */
export function base64(content: Uint8Array): string {
  let text = "";
  for (const byte of content) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Decodes base64. @throws {DOMException} the text is not base64. */
export function bytesOfBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
