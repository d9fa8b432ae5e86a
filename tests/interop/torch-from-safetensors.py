"""Saves the tensors of a .safetensors file as PyTorch does, decoded here by numpy alone.

python3 torch-from-safetensors.py IN.safetensors OUT.pth
"""
import json
import sys

import numpy
import torch

source, target = sys.argv[1:]
kinds = {"F32": numpy.float32, "I64": numpy.int64}
with open(source, "rb") as file:
    content = file.read()
length = int.from_bytes(content[:8], "little")
header = json.loads(content[8 : 8 + length])
header.pop("__metadata__", None)
tensors = {}
for name, entry in header.items():
    begin, end = (8 + length + offset for offset in entry["data_offsets"])
    values = numpy.frombuffer(content[begin:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    tensors[name] = torch.from_numpy(values.copy())
torch.save(tensors, target)
