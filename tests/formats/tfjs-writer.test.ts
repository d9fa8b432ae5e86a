import fc from "fast-check";
import { expect, test } from "vitest";
import { networkFromKeras } from "../../src/formats/keras/network.ts";
import { writeTfjsModel } from "../../src/formats/tfjs/writer.ts";
import { dense, input } from "../../src/graph/builder.ts";
import { network, networkWeights } from "../../src/graph/network.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { randomModel } from "./random-model.ts";

const parse = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes));

test("network, numbers and metadata are those of the model", () => {
  fc.assert(
    fc.property(randomModel, fc.option(fc.string(), { nil: undefined }), (model, metadata) => {
      const { bytes, beside } = writeTfjsModel({ ...model, metadata });
      const { modelTopology, weightsManifest, userDefinedMetadata, format } = parse(bytes);
      expect(format).toBe("layers-model");
      expect(userDefinedMetadata?.["xception-ts"]).toBe(metadata);
      const config = JSON.stringify(modelTopology.model_config);
      expect(networkFromKeras(config, "it").network).toEqual(model.network);
      const [{ paths, weights }] = weightsManifest;
      expect(paths).toEqual([...beside.keys()]);
      const bits = new Uint32Array(Uint8Array.from([...beside.values()].flatMap((shard) => [...shard])).buffer);
      // TensorFlow.js refuses a depthwise convolution's kernel under Keras 3's name.
      const depthwise = model.network.layers.filter(({ config }) => config.type === "DepthwiseConv2D");
      const renamed = new Map(depthwise.map(({ name }) => [`${name}/kernel`, `${name}/depthwise_kernel`]));
      expect(weights).toEqual(
        networkWeights(model.network).map(({ name, shape }) => ({
          name: renamed.get(name) ?? name,
          shape,
          dtype: "float32",
        })),
      );
      const expected = [...model.weights.values()].flatMap(({ data }) => [...new Uint32Array(data.buffer)]);
      expect([...bits]).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});

test("shards are of 4 MiB, and named after what is in them", () => {
  const net = network("wide", dense(input([1100]), { units: 2000 }));
  const weights = syntheticWeights(net);
  const { beside } = writeTfjsModel({ network: net, weights });
  const sizes = [...beside.values()].map((shard) => shard.length);
  expect(sizes).toEqual([2 ** 22, 2 ** 22, 4 * 1101 * 2000 - 2 ** 23]);
  expect([...beside.keys()]).toEqual(
    [1, 2, 3].map((n) => expect.stringMatching(`^group1-[0-9a-f]{8}-shard${n}of3.bin$`)),
  );
  weights.get("dense/bias")!.data[0] = 7;
  const [other] = writeTfjsModel({ network: net, weights }).beside.keys();
  expect(beside.has(other!)).toBe(false);
});

test("missing weights are refused", () => {
  const net = network("n", dense(input([3]), { units: 2 }));
  expect(() => writeTfjsModel({ network: net, weights: new Map() })).toThrow(
    "weights of n: they are not the weights of this network; missing: dense/kernel, dense/bias.",
  );
});
