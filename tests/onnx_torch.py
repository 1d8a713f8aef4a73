"""ONNX models as PyTorch exports them, with what PyTorch counts: for test_onnx.c.

    onnx_torch.py FOLDER     write NAME.onnx for each network, print "NAME PARAMETERS MACS" lines

MACs are multiply-accumulates of convolutions and linear layers, from the shapes that PyTorch runs.
"""
import os
import sys
import warnings

import torch
from torch import nn


class Small(nn.Module):
    """Flattened with a view; pools of odd sizes, one of them rounding up."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(8, 10, (5, 3), stride=2, padding=(2, 0), bias=False), nn.ReLU6(),
            nn.AvgPool2d(2, 2, ceil_mode=True), nn.ZeroPad2d((1, 0, 2, 1)), nn.Conv2d(10, 4, 2))
        self.head = nn.Sequential(nn.Linear(4 * 7 * 4, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 5))

    def forward(self, x):
        x = self.main(x)
        return self.head(x.view(x.size(0), -1)).softmax(1)


class Inverted(nn.Module):
    def __init__(self, c, out, expand, kernel, stride):
        super().__init__()
        self.add = stride == 1 and c == out
        m = c * expand
        self.main = nn.Sequential(
            nn.Conv2d(c, m, 1, bias=False), nn.BatchNorm2d(m), nn.ReLU6(),
            nn.Conv2d(m, m, kernel, stride, kernel // 2, groups=m, bias=False), nn.BatchNorm2d(m),
            nn.ReLU6(), nn.Conv2d(m, out, 1, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        return x + self.main(x) if self.add else self.main(x)


class Mobile(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            Inverted(8, 8, 4, 3, 1), Inverted(8, 16, 3, 5, 2), Inverted(16, 16, 6, 7, 1))
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.main(x).mean([2, 3]))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.left = nn.Sequential(nn.Conv2d(6, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 12, 3, 1, 1))
        self.right = nn.Conv2d(6, 12, 1, 2)
        self.both = nn.Conv2d(24, 12, 3, 1, 1, groups=3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = self.stem(x)
        z = self.right(x)
        y = torch.relu(self.left(x) + z)
        y = self.both(torch.cat([y, z], 1))
        return self.head(torch.flatten(self.pool(y), 1))


class Series(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Conv1d(2, 8, 9, 4, 4), nn.ReLU(), nn.MaxPool1d(2),
                                  nn.Conv1d(8, 16, 3, padding=1, groups=8), nn.Flatten(),
                                  nn.Linear(16 * 16, 6, bias=False))

    def forward(self, x):
        return self.main(x)


def macs_of(model, x):
    total = 0

    def count(module, inputs, output):
        nonlocal total
        if isinstance(module, nn.Linear):
            total += module.weight.numel()
        else:
            total += module.weight.numel() * output[0, 0].numel()

    hooks = [m.register_forward_hook(count) for m in model.modules()
             if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Linear))]
    model(x)
    for hook in hooks:
        hook.remove()
    return total


def main():
    warnings.simplefilter("ignore")
    for name, model, shape in (("small", Small(), (1, 3, 33, 30)), ("mobile", Mobile(), (1, 3, 32, 32)),
                               ("residual", Residual(), (1, 1, 40, 40)), ("series", Series(), (1, 2, 128))):
        x = torch.randn(shape)
        model.eval()
        macs = macs_of(model, x)
        # as trained, with batch norms, and as exported for inference, with these folded
        for suffix, mode in (("", torch.onnx.TrainingMode.PRESERVE), ("_eval", torch.onnx.TrainingMode.EVAL)):
            if not suffix:
                model.train()
            path = os.path.join(sys.argv[1], name + suffix + ".onnx")
            torch.onnx.export(model, x, path, training=mode, opset_version=13 if suffix else 11,
                              do_constant_folding=bool(suffix))
            model.eval()
            params = sum(p.numel() for p in model.parameters())
            if suffix:  # scale and shift of a norm became a bias
                params -= sum(m.weight.numel() for m in model.modules()
                              if isinstance(m, nn.BatchNorm2d))
            print(name + suffix, params, macs)


if __name__ == "__main__":
    torch.manual_seed(1)
    torch.set_num_threads(1)
    main()
