/** A PNG file as a URL that has the image in it. */
export function pngUrl(png: Uint8Array): string {
  return dataUrl("image/png", png);
}

/** A JPEG file as a URL that has the image in it. */
export function jpegUrl(jpeg: Uint8Array): string {
  return dataUrl("image/jpeg", jpeg);
}

function dataUrl(type: string, content: Uint8Array): string {
  return `data:${type};base64,${base64(content)}`;
}

export function base64(content: Uint8Array): string {
  let text = "";
  for (const byte of content) text += String.fromCharCode(byte);
  return btoa(text);
}

/** @throws {DOMException} this is no base64. */
export function bytesOfBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
