/** A PNG file as a URL that has the picture in it. */
export function pngUrl(png: Uint8Array): string {
  return dataUrl("image/png", png);
}

/** A JPEG file as a URL that has the picture in it. */
export function jpegUrl(jpeg: Uint8Array): string {
  return dataUrl("image/jpeg", jpeg);
}

function dataUrl(type: string, content: Uint8Array): string {
  let text = "";
  for (const byte of content) text += String.fromCharCode(byte);
  return `data:${type};base64,${btoa(text)}`;
}
