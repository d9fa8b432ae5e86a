"""Golden values of keras.applications.Xception without its top, as JSON: where xception-paper-notop-*.json come from.

    python keras-inference.py 75 110 > xception-paper-notop-75x110.json
    python keras-inference.py 75 110 avg > xception-paper-notop-avg-75x110.json

Made with Keras 3.15.1 on TensorFlow 2.21.0 (tensorflow-cpu).
"""

import json
import sys

import keras
import numpy as np
from keras_formula import formula_images, formula_weight, weights_of

BATCH = 3
SAMPLES = 16
TAPS = ["block1_conv2_act", "block4_pool", "block8_sepconv3_bn", "block13_pool", "block14_sepconv2_act"]


def tap(values):
    values = np.asarray(values)
    at = np.linspace(0, values.size - 1, SAMPLES).astype(int).tolist()
    wide = values.astype(np.float64)
    return {
        "shape": list(values.shape),
        "mean": wide.mean(),
        "std": wide.std(),
        "min": wide.min(),
        "max": wide.max(),
        "at": at,
        "values": [float(values.ravel()[index]) for index in at],
    }


def main(height, width, pooling=None):
    shape = (int(height), int(width), 3)
    model = keras.applications.Xception(weights=None, include_top=False, input_shape=shape, pooling=pooling)
    for index, weight in enumerate(weights_of(model)):
        weight.assign(formula_weight(index, weight))
    names = TAPS if pooling is None else [*TAPS, model.layers[-1].name]
    taps = keras.Model(model.input, [model.get_layer(name).output for name in names])
    outputs = taps.predict(formula_images(BATCH, shape[0], shape[1], 1000), verbose=0)
    lines = [f'  "{name}": {json.dumps(tap(output))}' for name, output in zip(names, outputs)]
    options = {"inputShape": shape, "includeTop": False, **({"pooling": pooling} if pooling else {})}
    architecture = json.dumps({"family": "xception", "options": options})
    print(f'{{"architecture": {architecture},\n "taps": {{\n' + ",\n".join(lines) + "\n}}")


main(*sys.argv[1:])
