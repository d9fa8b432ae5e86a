import { blockProbe } from "../../src/compiler/onnx/blocked.ts";
import { RuntimeUnavailableError } from "../../src/errors.ts";
import type { Platform } from "../../src/platform.ts";
import { nodePlatform } from "../../src/runtime/node.ts";

/** An engine that does not know the blocked layout, as on CPUs without AVX: steps fall back to the plain one. */
export const plainPlatform: Platform = {
  ...nodePlatform,
  engine: {
    ...nodePlatform.engine,
    createSession: (model, options) =>
      Buffer.from(model).equals(blockProbe().model)
        ? Promise.reject(new RuntimeUnavailableError({ where: "engine", what: "it has no blocked layout" }))
        : nodePlatform.engine.createSession(model, options),
  },
};
