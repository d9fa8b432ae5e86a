/**
 * Whether a name fits one of some patterns, `*` for anything, with commas between them: `block14_*,predictions/*`.
 * @example weightMatcher("block1_*")("block1_conv1/kernel") // true
 */
export function weightMatcher(patterns: string): (name: string) => boolean {
  const escaped = patterns.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*");
  const expression = new RegExp(`^(${escaped.split(",").join("|")})$`);
  return (name) => expression.test(name);
}
