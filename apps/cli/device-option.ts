import { Option } from "commander";
import { devices } from "../../src/platform.ts";

/** The flag that says what the engine computes on. */
export function deviceOption(): Option {
  return new Option(
    "--device <name>",
    "what to compute on (default: cpu); `xception doctor` lists what is available",
  ).choices(devices);
}
