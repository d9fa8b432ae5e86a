"""Four training steps of Inception V3 as keras.applications has it, with ELU in place of every ReLU, from formula weights,
written in PyTorch, as JSON:

    python3 torch-inception.py > train-inception-sgd-elu-float64.json

Checks first that its forward pass, with ReLU, gives the probabilities that Keras gave for inception-v3-299.json. Made
with PyTorch 1.13 in float64; weights and images are rounded to float32.
"""

import json
import pathlib
import sys
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from keras_formula import formula_images, formula_weight

FOLDER = pathlib.Path(__file__).parent
LABELS = [1, 4, 7, 0]
SIZE = 139  # Smaller ones leave so few values to the last normalizations that rounding grows from step to step.
CLASSES = 10
LEARNING_RATE, MOMENTUM = 0.01, 0.9
GOLDEN = json.loads((FOLDER / "inception-v3-299.json").read_text())


def initial_weights(classes):
    """The weights by Keras's names, in Keras's order and layout; every tensor is rounded to float32."""
    weights = {}
    for index, path, shape, _ in GOLDEN["weights"]:
        if path.startswith("predictions/"):
            shape = [*shape[:-1], classes]
        values = formula_weight(index, SimpleNamespace(path=path, shape=shape))
        weights[path] = torch.from_numpy(values.astype(np.float64))
    return weights


class Run:
    """One pass through the network; convolutions take their number in Keras's order of creation."""

    def __init__(self, weights, training, activation):
        self.weights, self.training, self.activation = weights, training, activation
        self.count = 0
        self.moving = {}

    def conv(self, x, size, strides=1, padding="same"):
        number = f"_{self.count}" if self.count else ""
        self.count += 1
        kernel = self.weights[f"conv2d{number}/kernel"].permute(3, 2, 0, 1)
        assert tuple(kernel.shape[2:]) == (size if isinstance(size, tuple) else (size, size))
        x = F.conv2d(x, kernel, stride=strides, padding=padding if padding == "same" else 0)
        return self.activation(self.batch_norm(x, f"batch_normalization{number}"))

    def batch_norm(self, x, name):
        mean, variance = self.weights[f"{name}/moving_mean"], self.weights[f"{name}/moving_variance"]
        if self.training:
            batch_mean = x.mean((0, 2, 3))
            batch_variance = ((x - batch_mean[:, None, None]) ** 2).mean((0, 2, 3))
            self.moving[f"{name}/moving_mean"] = 0.99 * mean + 0.01 * batch_mean.detach()
            self.moving[f"{name}/moving_variance"] = 0.99 * variance + 0.01 * batch_variance.detach()
            mean, variance = batch_mean, batch_variance
        x = (x - mean[:, None, None]) / torch.sqrt(variance[:, None, None] + 1e-3)
        return x + self.weights[f"{name}/beta"][:, None, None]

    def block_a(self, x):
        one = self.conv(x, 1)
        five = self.conv(self.conv(x, 1), 5)
        double = self.conv(self.conv(self.conv(x, 1), 3), 3)
        return torch.cat([one, five, double, self.conv(average(x), 1)], 1)

    def block_b(self, x):
        three = self.conv(x, 3, 2, "valid")
        double = self.conv(self.conv(self.conv(x, 1), 3), 3, 2, "valid")
        return torch.cat([three, double, F.max_pool2d(x, 3, 2)], 1)

    def block_c(self, x):
        one = self.conv(x, 1)
        seven = self.conv(self.conv(self.conv(x, 1), (1, 7)), (7, 1))
        double = self.conv(self.conv(self.conv(x, 1), (7, 1)), (1, 7))
        double = self.conv(self.conv(double, (7, 1)), (1, 7))
        return torch.cat([one, seven, double, self.conv(average(x), 1)], 1)

    def block_d(self, x):
        three = self.conv(self.conv(x, 1), 3, 2, "valid")
        seven = self.conv(self.conv(self.conv(x, 1), (1, 7)), (7, 1))
        seven = self.conv(seven, 3, 2, "valid")
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)

    def block_e(self, x):
        one = self.conv(x, 1)
        three = self.conv(x, 1)
        three = torch.cat([self.conv(three, (1, 3)), self.conv(three, (3, 1))], 1)
        double = self.conv(self.conv(x, 1), 3)
        double = torch.cat([self.conv(double, (1, 3)), self.conv(double, (3, 1))], 1)
        return torch.cat([one, three, double, self.conv(average(x), 1)], 1)

    def logits(self, images):
        x = torch.from_numpy(images).double().permute(0, 3, 1, 2)
        x = self.conv(x, 3, 2, "valid")
        x = self.conv(self.conv(x, 3, 1, "valid"), 3)
        x = F.max_pool2d(x, 3, 2)
        x = self.conv(self.conv(x, 1, 1, "valid"), 3, 1, "valid")
        x = F.max_pool2d(x, 3, 2)
        blocks = [self.block_a] * 3 + [self.block_b] + [self.block_c] * 4 + [self.block_d] + [self.block_e] * 2
        for block in blocks:
            x = block(x)
        return x.mean((2, 3)) @ self.weights["predictions/kernel"] + self.weights["predictions/bias"]


def average(x):
    """Keras's "same" average pooling leaves out the padding."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def check_forward():
    with torch.no_grad():
        logits = Run(initial_weights(1000), False, F.relu).logits(formula_images(2, 299, 299, 1000))
    keras = np.array(GOLDEN["probabilities_first_20"])
    difference = np.abs(F.softmax(logits, 1)[:, :20].numpy() - keras).max()
    print(f"largest difference of probabilities from Keras: {difference:.2g} of {keras.max():.2g}", file=sys.stderr)
    assert difference < 1e-5 * keras.max()


def main():
    check_forward()
    weights = initial_weights(CLASSES)
    start = dict(weights)
    trained = [path for path in weights if not path.endswith(("moving_mean", "moving_variance"))]
    velocities = {path: torch.zeros_like(weights[path]) for path in trained}
    images = formula_images(len(LABELS), SIZE, SIZE, 3000)
    losses = []
    for _ in range(4):
        leaves = {path: weights[path].requires_grad_() for path in trained}
        run = Run(weights, True, F.elu)
        loss = F.cross_entropy(run.logits(images), torch.tensor(LABELS))
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        losses.append(loss.item())
        weights = {**weights, **run.moving}
        for path, gradient in zip(trained, gradients):
            velocities[path] = MOMENTUM * velocities[path] - LEARNING_RATE * gradient
            weights[path] = weights[path].detach() + velocities[path]

    after = {}
    for path, values in weights.items():
        change = (values - start[path].detach()).norm().item()
        after[path] = [float(f"{values.norm().item():.9g}"), float(f"{change:.9g}")]
    head = {
        "architecture": {"family": "inception-v3", "options": {"inputShape": [SIZE, SIZE, 3], "classes": CLASSES}},
        "torch": torch.__version__,
        "optimizer": "SGD lr 0.01 momentum 0.9",
        "floatx": "float64",
        "activation": "elu",
        "input_shape": [SIZE, SIZE, 3],
        "classes": CLASSES,
        "labels": LABELS,
        "losses": losses,
    }
    lines = [f'  "{path}": {json.dumps(numbers)}' for path, numbers in after.items()]
    rest = ',\n "norm_and_change_after": {\n' + ",\n".join(lines) + "\n}}"
    print(json.dumps(head)[:-1] + rest)


main()
