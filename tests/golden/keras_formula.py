"""Weights and images of the golden files: the same formula as in src/formats/formula.ts."""

import numpy as np


def mulberry32(seed, count):
    low = np.uint64(0xFFFFFFFF)
    state = (np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x6D2B79F5)) & low
    mixed = ((state ^ (state >> np.uint64(15))) * (state | np.uint64(1))) & low
    mixed ^= (mixed + (((mixed ^ (mixed >> np.uint64(7))) * (mixed | np.uint64(61))) & low)) & low
    return ((mixed ^ (mixed >> np.uint64(14))) & low).astype(np.float64) / 2**32


def weights_of(model):
    """A model's weights, layer by layer."""
    return [weight for layer in model.layers for weight in layer.weights]


def formula_weight(index, weight):
    name = weight.path.split("/")[-1]
    shape = tuple(weight.shape)
    u = mulberry32(index + 1, int(np.prod(shape)))
    r = 2 * u - 1
    if name == "gamma":
        values = 1 + 0.1 * r
    elif name in ("beta", "moving_mean", "bias"):
        values = 0.1 * r
    elif name == "moving_variance":
        values = 1 + 0.5 * u
    elif name == "depthwise_kernel":
        values = r * np.sqrt(3 / (shape[0] * shape[1]))
    else:
        values = r * np.sqrt(6 / np.prod(shape[:-1]))
    return values.reshape(shape).astype(np.float32)


def formula_images(batch, height, width, first_seed):
    x = np.linspace(-1, 1, width)[None, :, None]
    y = np.linspace(-1, 1, height)[:, None, None]
    channel = np.arange(3)[None, None, :]

    def image(b):
        noise = 2 * mulberry32(first_seed + b, height * width * 3).reshape(height, width, 3) - 1
        return 0.5 * np.sin(3 * x + channel + b) * np.cos(2 * y - channel) + 0.5 * noise

    return np.stack([image(b) for b in range(batch)]).astype(np.float32)
