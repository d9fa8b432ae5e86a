import { type ImageDataset, saveModel, train } from "xception-ts/node";

/** Images come from `await readFolder("photos")`, with one sub-folder for each class, or are made on the spot. */
const dataset: ImageDataset = {
  classes: ["dark", "bright"],
  samples: Array.from({ length: 24 }, (_, index) => {
    const data = Uint8Array.from({ length: 71 * 71 * 3 }, () => 155 * (index % 2) + 100 * Math.random());
    return { image: { width: 71, height: 71, data }, label: index % 2, name: `image ${index}` };
  }),
};

const options = { inputShape: [71, 71, 3], classes: 2, width: 0.1, middleFlowRepeats: 1, dropout: 0.2 } as const;
const { weights, labels, preprocessing } = await train(dataset, {
  network: { family: "xception", options },
  epochs: 3,
  batchSize: 8,
  onEpoch: ({ history }) => console.log(`epoch ${history.length}: loss ${history.at(-1)?.loss.toFixed(2)}`),
});

/** One file with the network, its weights, labels and preprocessing. */
const file = process.argv[2];
if (file) await saveModel(file, { architecture: { family: "xception", options }, weights, labels, preprocessing });
