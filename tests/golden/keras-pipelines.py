"""Writes formats/pipeline*.keras, .h5 and pipelines.json with Keras 3.15: classifiers as Keras's guides build them, with what
prepares images among the layers and logits at the end."""

import json
import pathlib

import keras
import numpy

folder = pathlib.Path(__file__).parent / "formats"
shape = (20, 18, 3)
keras.utils.set_random_seed(5)


def convolutions():
    pixels = keras.Input(shape, name="pixels")
    x = keras.layers.Conv2D(6, 3, strides=2, use_bias=False, name="conv")(pixels)
    x = keras.layers.BatchNormalization(name="conv_bn")(x)
    x = keras.layers.ReLU(name="conv_act")(x)
    return keras.Model(pixels, keras.layers.SeparableConv2D(8, 3, padding="same", name="sepconv")(x), name="base")


def connected():
    """Layers of augmentation and `preprocess_input` between the input and the network."""
    images = keras.Input(shape)
    x = keras.layers.RandomFlip("horizontal")(images)
    x = keras.layers.RandomContrast(0.2)(x)
    x = keras.applications.xception.preprocess_input(x)
    x = keras.layers.GlobalAveragePooling2D()(convolutions()(x, training=False))
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(images, keras.layers.Dense(3, name="logits")(x))


def nested():
    """Augmentation as a model of its own, a Rescaling, and one number at the end: cats or dogs."""
    augmentation = keras.Sequential([keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)])
    images = keras.Input(shape)
    x = keras.layers.Rescaling(scale=1 / 127.5, offset=-1)(augmentation(images))
    x = keras.layers.GlobalAveragePooling2D()(convolutions()(x, training=False))
    return keras.Model(images, keras.layers.Dense(1, name="logit")(x))


size = numpy.prod(shape)
image = (numpy.arange(size) * 7919 % 256).reshape(1, *shape).astype("float32")
logits = {}
for name, model in {"pipeline": connected(), "pipeline-nested": nested()}.items():
    random = numpy.random.default_rng(7)
    for weight in model.weights:
        if "seed_generator" in weight.path:
            continue
        low, high = (0.5, 1.5) if "variance" in weight.path or "gamma" in weight.path else (-0.6, 0.6)
        weight.assign(random.uniform(low, high, weight.shape))
    logits[name] = model.predict(image, verbose=0)[0].tolist()
    model.save(folder / f"{name}.keras")
    model.save(folder / f"{name}.h5")

(folder / "pipelines.json").write_text(json.dumps(logits, indent=1) + "\n")
