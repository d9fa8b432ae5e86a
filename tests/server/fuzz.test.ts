import { it } from "vitest";
import { fuzzServer } from "./fuzz.ts";
import { serving } from "./serving.ts";

const own = serving();

it("answers random requests, and none with an unexpected error", () =>
  fuzzServer(own.server, own.png, { numRuns: 300 }));
