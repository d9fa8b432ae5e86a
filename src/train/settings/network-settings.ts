import { choice, type ValueOf } from "../../base/kinds.ts";
import { architectureNames, defaultName, optionsIn, type ScopedOptions } from "../../models/registry.ts";
import { type Setting, setting } from "./setting.ts";

type Options = ScopedOptions<"network">;

/** How the network is built: which one it is, and the options of all families. */
export const networkSettings = {
  architecture: setting(choice(...architectureNames), {
    about: "xception: as in Keras; the others: as in timm",
    default: defaultName,
  }),
  ...(Object.fromEntries(
    Object.entries(optionsIn("network")).map(([name, option]) => [
      name,
      { ...option, ...("only" in option && { follows: "architecture" }) },
    ]),
  ) as unknown as { readonly [Name in keyof Options]: Setting<ValueOf<Options[Name]>> }),
};
