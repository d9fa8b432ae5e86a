"""A training step of Xception in PyTorch, with the layers of src/models/xception.ts.

Usage: python pytorch.py SIZE BATCH THREADS
Prints a JSON line: the name of the library, its ways to run a step, and the parameters that train. Then, for each line on
stdin, the name of a way, runs one step that way and prints its milliseconds.
"""
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional


def normalization(filters):
    return nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)


def conv_bn(channels, filters, kernel_size, stride=1):
    return nn.Sequential(nn.Conv2d(channels, filters, kernel_size, stride, bias=False), normalization(filters))


def sep_conv_bn(channels, filters):
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, filters, 1, bias=False),
        normalization(filters),
    )


class HalvingPool(nn.Module):
    """3×3, every second position, padded as Keras's "same": on both sides of an odd size, at the end of an even one."""

    def forward(self, x):
        odd = [size % 2 for size in x.shape[2:]]
        return functional.max_pool2d(x, 3, 2, padding=odd, ceil_mode=True)


class Block(nn.Module):
    """Separable convolutions beside a shortcut; halves the image if `halving`."""

    def __init__(self, channels, filters, halving=False, first_relu=True):
        super().__init__()
        layers = []
        for index, (before, after) in enumerate(zip([channels, *filters], filters)):
            # The first ReLU reads what the shortcut reads, too, and must leave it as it is.
            layers += [nn.ReLU(inplace=index > 0)] if index > 0 or first_relu else []
            layers += [sep_conv_bn(before, after)]
        self.main = nn.Sequential(*layers, *([HalvingPool()] if halving else []))
        self.shortcut = conv_bn(channels, filters[-1], 1, 2) if halving else nn.Identity()

    def forward(self, x):
        return self.main(x) + self.shortcut(x)


def xception(classes=1000):
    relu = nn.ReLU(inplace=True)
    return nn.Sequential(
        conv_bn(3, 32, 3, 2), relu, conv_bn(32, 64, 3), relu,
        Block(64, [128, 128], halving=True, first_relu=False),
        Block(128, [256, 256], halving=True),
        Block(256, [728, 728], halving=True),
        *[Block(728, [728, 728, 728]) for _ in range(8)],
        Block(728, [728, 1024], halving=True),
        sep_conv_bn(1024, 1536), relu, sep_conv_bn(1536, 2048), relu,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, classes),
    )


def training_step(size, batch, memory_format, is_compiled=False):
    torch.manual_seed(1)
    model = xception().to(memory_format=memory_format).train()
    answer = torch.compile(model) if is_compiled else model
    images = torch.randn(batch, 3, size, size).to(memory_format=memory_format)
    targets = torch.arange(batch)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, foreach=True)

    def run():
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(answer(images), targets).backward()
        optimizer.step()

    parameters = sum(parameter.numel() for parameter in model.parameters())
    return run, parameters


def main():
    size, batch, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    steps = {
        "default layout": training_step(size, batch, torch.contiguous_format),
        "channels_last": training_step(size, batch, torch.channels_last),
    }
    if hasattr(torch, "compile"):
        steps["channels_last, torch.compile"] = training_step(size, batch, torch.channels_last, is_compiled=True)
    parameters = steps["channels_last"][1]
    about = {"name": f"PyTorch {torch.__version__}", "ways": list(steps), "parameters": parameters}
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        run = steps[line.strip()][0]
        start = time.perf_counter()
        run()
        print((time.perf_counter() - start) * 1000, flush=True)


main()
