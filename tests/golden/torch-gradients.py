"""Writes torch-gradients.json with PyTorch in float64: loss and gradients of a small network with PyTorch's padding, and, in inference
mode, the maps of four methods of explanation, by autograd and the formulas of their papers."""

import json
import math
import pathlib

import torch
from torch import nn


def mulberry32(seed, count):
    values, state = [], seed
    for _ in range(count):
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((state ^ (state >> 15)) * (state | 1)) & 0xFFFFFFFF
        t ^= (t + (((t ^ (t >> 7)) * (t | 61)) & 0xFFFFFFFF)) & 0xFFFFFFFF
        values.append(((t ^ (t >> 14)) & 0xFFFFFFFF) / 2**32)
    return values


# Even sizes: there PyTorch's padding is not Keras's "same".
network = nn.Sequential(
    nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
    nn.BatchNorm2d(4, eps=1e-5),
    nn.ReLU(),
    nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4, bias=True),
    nn.BatchNorm2d(4, eps=1e-5),
    nn.MaxPool2d(3, 2, 1),
    nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4, bias=False),
    nn.Conv2d(4, 5, 1, bias=False),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(5, 3),
).double()

tensors = {}
with torch.no_grad():
    for index, (name, tensor) in enumerate(network.named_parameters()):
        noise = torch.tensor(mulberry32(index + 1, tensor.numel()), dtype=torch.float64).reshape(tensor.shape) * 2 - 1
        scale = math.sqrt(6 / math.prod(tensor.shape[1:])) if tensor.ndim > 1 else 0.1
        # As float32, which is what the engine gets.
        tensor.copy_((noise * scale + (1 if name in ("1.weight", "4.weight") else 0)).float())

images = (torch.tensor(mulberry32(1000, 2 * 20 * 14 * 3), dtype=torch.float64) * 2 - 1).float().double()
images = images.reshape(2, 20, 14, 3)
logits = network(images.permute(0, 3, 1, 2))
loss = nn.functional.cross_entropy(logits, torch.tensor([0, 2]))
loss.backward()
gradients = {name: tensor.grad.flatten().tolist() for name, tensor in network.named_parameters()}


def maps(label):
    """Of the activations after the first ReLU, for one image of random bytes."""
    network.eval()
    for module in (network[1], network[4]):
        module.reset_running_stats()
    pixels = torch.tensor(mulberry32(2000, 20 * 14 * 3), dtype=torch.float64).mul(256).floor().div(127.5).sub(1)
    a = network[:3](pixels.reshape(1, 20, 14, 3).permute(0, 3, 1, 2)).detach().requires_grad_()
    (g,) = torch.autograd.grad(network[3:](a)[0, label], a)
    alpha = torch.nan_to_num(g**2 / (2 * g**2 + a.sum((2, 3), keepdim=True) * g**3))
    weighted = {
        "grad-cam": g.mean((2, 3), keepdim=True) * a,
        "hires-cam": g * a,
        "grad-cam++": (alpha * g.relu()).sum((2, 3), keepdim=True) * a,
        "layer-cam": g.relu() * a,
    }
    return {method: values.sum(1).relu()[0].detach().tolist() for method, values in weighted.items()}


content = {"loss": loss.item(), "logits": logits.tolist(), "gradients": gradients, "maps": maps(2)}
(pathlib.Path(__file__).parent / "torch-gradients.json").write_text(json.dumps(content) + "\n")
