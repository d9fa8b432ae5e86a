"""Writes formats/tensors*.pth, checkpoint.pth and tensors.json with PyTorch 1.13: tensors of every type and memory layout."""

import argparse
import collections
import json
import math
import pathlib

import torch

folder = pathlib.Path(__file__).parent / "formats"


def numbers(*shape):
    return torch.arange(math.prod(shape)).reshape(shape).float() * 0.25 - 1


shared = numbers(6)
tensors = collections.OrderedDict(
    {
        "conv.weight": numbers(2, 3, 2, 2),
        "conv.transposed": numbers(2, 3).t(),
        "slice": numbers(4, 4)[1:3, ::2],
        "expanded": numbers(3).expand(2, 3),
        "shared.a": shared[:3],
        "shared.b": shared[2:],
        "half": numbers(3).half(),
        "bfloat": numbers(3).bfloat16(),
        "double": numbers(3).double(),
        "long": torch.tensor(5004),
        "int": torch.tensor([-7], dtype=torch.int32),
        "byte": torch.tensor([255], dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(numbers(2)),
    }
)
torch.save(tensors, folder / "tensors.pth")
torch.save(tensors, folder / "tensors-legacy.pth", _use_new_zipfile_serialization=False)

checkpoint = {
    "epoch": 3,
    "args": argparse.Namespace(lr=0.1, data="photos"),
    "metric": 0.5,
    "state_dict": collections.OrderedDict((f"module.{name}", tensor) for name, tensor in tensors.items()),
    "state_dict_ema": {"module.only": numbers(2)},
    "optimizer": {
        "state": {0: {"exp_avg": numbers(2)}},
        "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0]}],
    },
}
torch.save(checkpoint, folder / "checkpoint.pth")

values = {
    name: {"shape": list(tensor.shape), "values": tensor.detach().double().flatten().tolist()}
    for name, tensor in tensors.items()
}
(folder / "tensors.json").write_text(json.dumps(values))
