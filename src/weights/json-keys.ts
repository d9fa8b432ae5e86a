/**
 * The first name that an object in a JSON text has twice, if any; `JSON.parse` would silently keep the last one.
 * @param text valid JSON.
 */
export function duplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (character === "{") open.push(new Set());
    else if (character === "}") open.pop();
    else if (character === '"') {
      const begin = index;
      for (index++; text[index] !== '"'; index++) if (text[index] === "\\") index++;
      if (!followsColon(text, index + 1)) continue;
      const name = JSON.parse(text.slice(begin, index + 1)) as string;
      const names = open.at(-1)!;
      if (names.has(name)) return name;
      names.add(name);
    }
  }
  return undefined;
}

function followsColon(text: string, from: number): boolean {
  let index = from;
  while (" \t\r\n".includes(text[index]!)) index++;
  return text[index] === ":";
}
