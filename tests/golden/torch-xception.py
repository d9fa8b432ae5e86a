"""Exports a narrow Xception with PyTorch 1.13, as torch.onnx.export does by default: batch normalizations folded.

Modules and their names are those of timm's legacy_xception, with fewer channels and blocks. Writes
formats/torch-xception.onnx, its weights as they are in formats/torch-xception.pth and, in the format before 1.6,
torch-xception-legacy.pth, and its logits for an image of sines in torch-xception.json.

    python3 tests/golden/torch-xception.py
"""
import json
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


class Block(nn.Module):
    """`filters` are the channels of each separable convolution."""

    def __init__(self, inputs, filters, stride=2, starts_with_relu=True):
        super().__init__()
        steps = []
        for before, after in zip([inputs, *filters], filters):
            steps += [nn.ReLU(), Separable(before, after), nn.BatchNorm2d(after)]
        steps = steps if starts_with_relu else steps[1:]
        if stride > 1:
            steps.append(nn.MaxPool2d(3, stride, 1))
            self.skip = nn.Conv2d(inputs, filters[-1], 1, stride=stride, bias=False)
            self.skipbn = nn.BatchNorm2d(filters[-1])
        self.rep = nn.Sequential(*steps)

    def forward(self, x):
        shortcut = self.skipbn(self.skip(x)) if hasattr(self, "skip") else x
        return self.rep(x) + shortcut


class Xception(nn.Module):
    """The channels of xception({ width: 0.02, middleFlowRepeats: 1, classes: 3 })."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, 2, 0, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.block1 = Block(8, [8, 8], starts_with_relu=False)
        self.block2 = Block(8, [8, 8])
        self.block3 = Block(8, [16, 16])
        self.block4 = Block(16, [16, 16, 16], stride=1)
        self.block5 = Block(16, [16, 24])
        self.conv3, self.bn3 = Separable(24, 32), nn.BatchNorm2d(32)
        self.conv4, self.bn4 = Separable(32, 40), nn.BatchNorm2d(40)
        self.fc = nn.Linear(40, 3)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        for block in (self.block1, self.block2, self.block3, self.block4, self.block5):
            x = block(x)
        x = torch.relu(self.bn3(self.conv3(x)))
        x = torch.relu(self.bn4(self.conv4(x)))
        return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


torch.manual_seed(0)
net = Xception()
for module in net.modules():
    if isinstance(module, nn.BatchNorm2d):
        module.running_mean.uniform_(-0.3, 0.3)
        module.running_var.uniform_(0.3, 0.8)
        module.weight.data.uniform_(0.5, 1.5)
        module.bias.data.uniform_(-0.3, 0.3)
net.eval()
folder = pathlib.Path(__file__).parent / "formats"
names = {"input_names": ["input"], "output_names": ["logits"], "dynamic_axes": {"input": {0: "batch"}}}
torch.onnx.export(net, torch.zeros(1, 3, 71, 80), str(folder / "torch-xception.onnx"), opset_version=13, **names)
torch.save(net.state_dict(), folder / "torch-xception.pth")
torch.save(net.state_dict(), folder / "torch-xception-legacy.pth", _use_new_zipfile_serialization=False)
pixels = torch.sin(0.37 * torch.arange(71 * 80 * 3, dtype=torch.float64)).reshape(1, 71, 80, 3).permute(0, 3, 1, 2)
with torch.no_grad():
    logits = net.double()(pixels)
values = {"torch": torch.__version__, "input": "sin(0.37 k)", "shape": [1, 71, 80, 3], "logits": logits[0].tolist()}
(folder / "torch-xception.json").write_text(json.dumps(values) + "\n")
