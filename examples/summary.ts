import { countParameters, networkWeights, summarize, xception } from "xception-ts";

const network = xception({ inputShape: [150, 150, 3], classes: 10, seed: 42 });

console.log(summarize(network));
console.log(`${countParameters(networkWeights(network)).trainable.toLocaleString("en-US")} weights to train`);
