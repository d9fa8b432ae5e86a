"""Four training steps of keras.applications.Xception from formula weights, as JSON: where the train-paper-*.json files
come from.

    python keras-training.py sgd float32 > train-paper-sgd.json
    python keras-training.py sgd float64 > train-paper-sgd-float64.json
    python keras-training.py sgd float64 elu > train-paper-sgd-elu-float64.json     # ELU in place of every ReLU
    python keras-training.py sgd float64 relu 7     # every weight moved by one float32 ulp, up or down, by seed 7

and the same with rmsprop. Made with Keras 3.15.1 on TensorFlow 2.21.0 (tensorflow-cpu), x86-64 with AVX-512. Weights
and images are rounded to float32 in both precisions.
"""

import json
import sys

import keras
import numpy as np
from keras_formula import formula_images, formula_weight, weights_of

LABELS = [1, 4, 7, 0]
SIZE = 71
CLASSES = 10
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.0005, rho=0.9, momentum=0.9, epsilon=1e-7),
}

# As the golden files name them.
NAMES = {"sgd": "SGD lr 0.01 momentum 0.9", "rmsprop": "RMSprop lr 0.0005 rho 0.9 momentum 0.9 epsilon 1e-7"}


def one_ulp_off(values, random):
    return np.nextafter(values, np.where(random.random(values.shape) < 0.5, np.inf, -np.inf).astype(np.float32))


def main(optimizer, floatx, activation="relu", perturbation=None):
    keras.backend.set_floatx(floatx)
    model = keras.applications.Xception(weights=None, input_shape=(SIZE, SIZE, 3), classes=CLASSES)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Activation):
            layer.activation = keras.activations.get(activation)
    weights = weights_of(model)
    start = [formula_weight(index, weight) for index, weight in enumerate(weights)]
    if perturbation is not None:
        random = np.random.default_rng(int(perturbation))
        start = [one_ulp_off(values, random) for values in start]
    for weight, values in zip(weights, start):
        weight.assign(values)

    model.compile(optimizer=OPTIMIZERS[optimizer](), loss="sparse_categorical_crossentropy")
    images = formula_images(len(LABELS), SIZE, SIZE, 3000).astype(floatx)
    labels = np.array(LABELS)
    losses = [float(model.train_on_batch(images, labels)) for _ in range(4)]

    after = {}
    for weight, before in zip(weights, start):
        values = np.asarray(weight, dtype=np.float64)
        change = np.linalg.norm(values - before)
        after[weight.path] = [float(f"{np.linalg.norm(values):.9g}"), float(f"{change:.9g}")]
    head = {
        "architecture": {"family": "xception", "options": {"inputShape": [SIZE, SIZE, 3], "classes": CLASSES}},
        "keras": keras.__version__,
        "optimizer": NAMES[optimizer],
        "floatx": floatx,
        **({} if activation == "relu" else {"activation": activation}),
        "input_shape": [SIZE, SIZE, 3],
        "classes": CLASSES,
        "labels": LABELS,
        "losses": losses,
    }
    lines = [f'  "{path}": {json.dumps(numbers)}' for path, numbers in after.items()]
    rest = ',\n "norm_and_change_after": {\n' + ",\n".join(lines) + "\n}}"
    print(json.dumps(head)[:-1] + rest)


main(*sys.argv[1:])
