"""Exports a small network with PyTorch 1.13 to tests/golden/formats/torch-*.onnx: as it is, and with folded normalizations.

    python3 tests/golden/torch-onnx.py
"""
import pathlib

import torch
from torch import nn


class Separable(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x):
        return self.pointwise(self.conv1(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(8, eps=1e-3)
        self.sep = Separable(8, 16)
        self.bn2 = nn.BatchNorm2d(16, eps=1e-3)
        self.fc = nn.Linear(16, 5)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.sep(x)))
        return self.fc(x.mean((2, 3)))


torch.manual_seed(0)
net = Net()
for module in net.modules():
    if isinstance(module, nn.BatchNorm2d):
        module.running_mean.uniform_(-1, 1)
        module.running_var.uniform_(1, 2)
        module.weight.data.uniform_(0.5, 1.5)
        module.bias.data.uniform_(-1, 1)
net.eval()
folder = pathlib.Path(__file__).parent / "formats"
unfolded = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
for name, options in (("plain", unfolded), ("folded", {})):
    names = {"input_names": ["input"], "output_names": ["logits"], "dynamic_axes": {"input": {0: "batch"}}}
    path = str(folder / f"torch-{name}.onnx")
    torch.onnx.export(net, torch.randn(1, 3, 21, 19), path, opset_version=13, **names, **options)
