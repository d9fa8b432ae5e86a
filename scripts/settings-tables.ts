import { settingWords } from "../apps/cli/setting-options.ts";
import { recipes } from "../src/train/settings/recipes.ts";
import { resolveSettings } from "../src/train/settings/resolve.ts";
import { flagOf, type SettingName, settingGroups, settingOf } from "../src/train/settings/settings.ts";
import { markdownTable } from "./generated-blocks.ts";

/** The settings under a heading: flag, name in a file, values, default. */
export function settingsTable(title: string): string {
  const group = settingGroups.find((each) => each.title === title);
  if (!group) throw new Error(`No settings under "${title}": ${settingGroups.map((each) => each.title).join(", ")}.`);
  return markdownTable(
    group.names.map((name) => {
      const { about, expected, only, defaultText } = settingOf(name);
      const restriction = only ? ` (${only.join(", ")})` : "";
      return {
        "in a file": `\`${name}\``,
        flag: `\`${flagOf(name)}\``,
        "what it does": `${about}${restriction}`,
        values: expected,
        default: defaultText ?? written(name, resolveSettings([]).settings[name]),
      };
    }),
  );
}

/** A recipe: what the paper says, or why we chose it. */
export function recipeTable(name: string): string {
  const recipe = Object.entries(recipes).find(([each]) => each === name)?.[1];
  if (!recipe) throw new Error(`No recipe "${name}".`);
  const defaults = resolveSettings([]).settings;
  return markdownTable(
    Object.entries(recipe.lines).map(([setting, line]) => {
      const key = setting as SettingName;
      return {
        "the paper": "paper" in line ? line.paper : "",
        "our choice": "choice" in line ? line.choice : "",
        setting: `\`${settingWords(key, line.value).join(" ")}\``,
        "default without a recipe": settingOf(key).defaultText ?? written(key, defaults[key]),
      };
    }),
  );
}

/** As a flag takes it; what is on or off, as a file says it. */
function written(name: SettingName, value: unknown): string {
  return settingOf(name).write(value);
}
