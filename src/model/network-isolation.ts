import type { Engine, SessionIsolation } from "../base/platform.ts";
import { networkCost } from "../graph/cost.ts";
import { imageSizeOf, type Network } from "../graph/network.ts";
import { sizeOf } from "../tensor/shape.ts";

/**
 * Limits for a graph of unknown origin, by the size of its file and of its images: far more than an intact one needs, on a slow
 * machine.
 */
export function isolationOf(
  graph: Uint8Array,
  where: string,
  [height, width]: readonly [height: number, width: number] = [299, 299],
): SessionIsolation {
  const memoryBytes = 2 ** 30 + 8 * graph.length + 1024 * height * width;
  return { where, memoryBytes, timeMs: 20_000 + graph.length / 5_000 + (height * width) / 50 };
}

/** Most multiplications for one image, and values of all layers, of a network that runs in this process. */
const [mostMultiplications, mostValues] = [2 ** 37, 2 ** 28];

/** Limits for a network from a file, whose layers may need any time and memory; undefined for one that needs little. */
export function networkIsolation(network: Network, graph: Uint8Array, where: string): SessionIsolation | undefined {
  const values = network.layers.reduce((sum, { outputShape }) => sum + sizeOf(outputShape), 0);
  const compared = network.layers.map(({ config, outputShape }) => {
    return config.type === "MaxPooling2D" ? sizeOf(config.poolSize) * sizeOf(outputShape) : 0;
  });
  const multiplications = compared.reduce((sum, each) => sum + each, networkCost(network).total.multiplications);
  const isSmall = values <= mostValues && multiplications <= mostMultiplications;
  return isSmall ? undefined : isolationOf(graph, where, imageSizeOf(network));
}

/** The engine, whose isolated sessions a signal ends, while they are loaded and while they run. */
export function engineWithSignal(engine: Engine, signal: AbortSignal | undefined): Engine {
  if (signal === undefined) return engine;
  return {
    ...engine,
    createSession: async (model, options) => {
      const session = await engine.createSession(model, { ...options, signal });
      return {
        outputShapes: session.outputShapes!,
        run: (feeds, run) => session.run(feeds, { ...run, signal: run?.signal ?? signal }),
        endProfiling: () => session.endProfiling(),
        dispose: () => session.dispose(),
      };
    },
  };
}
