import * as xception from "xception-ts";

/** Xception's entry flow, a shorter middle flow, and a head of our own. */
let x = xception.input([128, 128, 3]);
x = xception.entryFlow(x);
x = xception.middleFlow(x, { repeats: 2 });
x = xception.sepConvBn(x, { filters: 512 });
x = xception.relu(x);
x = xception.globalAveragePooling2d(x);
x = xception.dropout(x, 0.5);
x = xception.dense(x, { units: 4, activation: "softmax" });

console.log(xception.summarize(xception.network("four_classes", x)));
