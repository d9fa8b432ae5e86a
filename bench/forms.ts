/**
 * Which form of a network is fastest: the engine's channel blocks or the plain layout, batches as a whole or in parts that fit into the
 * cache, one thread or two? Xception by width, image size and batch, interleaved.
 * `npx tsx bench/forms.ts training|fine-tuning|inference [rounds]`; fine-tuning trains block 14 and the classifier.
 */
import type { Platform, Session, Tensors } from "../src/base/platform.ts";
import { compile } from "../src/compiler/compile.ts";
import { syntheticImages } from "../src/graph/synthetic.ts";
import { createOptimizer, initializeWeights, softmaxCrossEntropy, type WeightSpec, xception } from "../src/index.ts";
import { nodePlatform } from "../src/runtime/node/platform.ts";
import { floatTensor } from "../src/tensor/tensor.ts";
import { stepSession } from "../src/train/step/step-program.ts";
import { trainingGraph } from "../src/train/step/training-graph.ts";
import { initialState } from "../src/train/step/training-state.ts";
import { plainPlatform } from "../tests/tasks/plain-platform.ts";
import { interleave, median, type Row, rounded, writeResult } from "./measurement.ts";

const [part = "training", roundsText = "3"] = process.argv.slice(2);
const rounds = Number(roundsText);
const sizes = [72, 150, 299];
const widths = [0.25, 0.5, 1];
/** Pixels times width of a batch, above which a case is left out: it would take minutes. */
const largest = 299 * 299 * 8;

const block14 = ({ name }: WeightSpec) => /^(block14|predictions)/.test(name);
const networkOf = (width: number, size: number) => xception({ inputShape: [size, size, 3], width, classes: 10 });

/** A training step as the engine runs it, on constant inputs. */
async function stepOf(
  width: number,
  size: number,
  batchSize: number,
  trainable: ((spec: WeightSpec) => boolean) | undefined,
  { platform, wholeBatches }: { readonly platform: Platform; readonly wholeBatches: boolean },
): Promise<{ readonly session: Session; readonly feeds: Tensors }> {
  const network = networkOf(width, size);
  const weights = initializeWeights(network);
  const optimizer = createOptimizer("adamw", {});
  const step = trainingGraph(network, { batchSize, optimizer, loss: softmaxCrossEntropy, trainable });
  const frozen = initialState(step.frozen, weights).tensors;
  const session = await stepSession(step.graph, { platform, frozen, wholeBatches });
  const { tensors: state } = initialState(step.state, weights);
  const others = step.graph.inputs.map(({ name, shape }) => [name, floatTensor(shape)] as const);
  const images = syntheticImages(batchSize, [size, size, 3], 3000);
  return { session, feeds: { ...Object.fromEntries([...others, ...state]), images } };
}

/** Milliseconds per image of each form, and the quotients within rounds to the first. */
async function compare(
  sessions: Readonly<Record<string, { readonly session: Session; readonly feeds: Tensors }>>,
  images: number,
): Promise<Record<string, number>> {
  const runs = Object.fromEntries(
    Object.entries(sessions).map(([name, { session, feeds }]) => [name, () => session.run(feeds)]),
  );
  const times = await interleave(runs, rounds, 1);
  for (const { session } of Object.values(sessions)) await session.dispose();
  const [first] = Object.keys(sessions);
  return Object.fromEntries(
    Object.entries(times).map(([name, each]) =>
      name === first
        ? [`${name}, ms per image`, rounded(median(each) / images, 2)]
        : [`${name} ÷`, rounded(median(each.map((ms, round) => ms / times[first!]![round]!)), 2)],
    ),
  );
}

const rows: Row[] = [];
for (const width of widths) {
  for (const size of sizes) {
    for (const batch of [1, 8, 32]) {
      if (size * size * width * batch > largest) continue;
      const sessions = await (part === "inference" ? inference(width, size, batch) : steps(width, size, batch));
      rows.push({ width, size, batch, ...(await compare(Object.fromEntries(sessions), batch)) });
      console.error(JSON.stringify(rows.at(-1)));
    }
  }
}
writeResult(`forms-${part}`, { question: `Which form of ${part} is fastest?`, rows });

function steps(width: number, size: number, batch: number) {
  const options = {
    "blocks in parts": { platform: nodePlatform, wholeBatches: false },
    "blocks, whole batches": { platform: nodePlatform, wholeBatches: true },
    "plain layout": { platform: plainPlatform, wholeBatches: true },
  };
  const trainable = part === "fine-tuning" ? block14 : undefined;
  const loaded = Object.entries(options).map(
    async ([name, each]) => [name, await stepOf(width, size, batch, trainable, each)] as const,
  );
  return Promise.all(loaded);
}

function inference(width: number, size: number, batch: number) {
  const network = networkOf(width, size);
  const model = compile(network, initializeWeights(network), { form: "inference" });
  const feeds = { images: syntheticImages(batch, [size, size, 3], 3000) };
  const options = { blocks: {}, "plain layout": { optimize: false }, "one thread": { threads: 1 } };
  const loaded = Object.entries(options).map(async ([name, each]) => {
    return [name, { session: await nodePlatform.engine.createSession(model, each), feeds }] as const;
  });
  return Promise.all(loaded);
}
