import { RuntimeUnavailableError } from "../../src/base/errors.ts";
import type { Platform } from "../../src/base/platform.ts";
import { blockProbe } from "../../src/compiler/onnx/blocked.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";

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
