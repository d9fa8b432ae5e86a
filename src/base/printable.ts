/** C0 except newline and tab, DEL, C1, and the marks that change the direction of text. */
const unprintable = /[^\P{Cc}\n\t]|\p{Bidi_Control}/gu;

/**
 * Escapes control and bidirectional characters as `\u001b`, so that names from files cannot control a terminal or reorder a
 * line. Newlines and tabs are kept; JSON stays the same JSON.
 */
export function printable(text: string): string {
  return text.replace(unprintable, escaped);
}

/** Escapes like {@link printable}, and newlines and tabs, too: for names within a line. */
export function printableLine(text: string): string {
  return printable(text).replace(/[\n\t]/g, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
