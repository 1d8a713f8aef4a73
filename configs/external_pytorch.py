#!/usr/bin/python3
"""An evaluator for nasc that trains every candidate in PyTorch (Debian: python3-torch).

    evaluator:
      type: external
      command: [/usr/bin/python3, configs/external_pytorch.py, --data, FOLDER]
      budget: 1         # epochs; 0.25 is a quarter of one

The protocol is that of external_example.py. FOLDER has the IDX files of MNIST or Fashion-MNIST,
plain or .gz; only its training files are read, and a part of them, chosen by the run's seed,
validates. To train in a way of your own, change train(); Network() knows every operator of
docs/network.schema.json and has the parameters that nasc counts.

nasc runs one process a job, so each keeps to one thread. Same line in, same answer out.
"""

import argparse
import functools
import gzip
import json
import math
import os
import random
import struct
import sys

import torch
from torch import nn
from torch.nn import functional

# ---- the network ---------------------------------------------------------------


def pads(size, kernel, stride, padding, axis):
    """Cells in front of and behind `size` cells, of the height (axis 0) or width (1)."""
    if padding == "valid":
        return 0, 0
    if padding != "same":  # cells above, left, below, right
        return padding[axis], padding[axis + 2]
    # where they are odd in number, more behind
    cells = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return cells // 2, cells - cells // 2


class AvgPool(nn.Module):
    """Mean of each window; padded cells do not count."""

    def __init__(self, kernel, stride, pad):
        super().__init__()
        self.kernel, self.stride, self.pad = kernel, stride, pad

    def forward(self, x):
        y = functional.avg_pool2d(functional.pad(x, self.pad), self.kernel, self.stride)
        if not any(self.pad):
            return y
        ones = functional.pad(torch.ones_like(x[:1, :1]), self.pad)
        return y / functional.avg_pool2d(ones, self.kernel, self.stride)


class Flatten(nn.Module):
    """Height, width, channels: the order of nasc, not that of nn.Flatten."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


class Add(nn.Module):
    def forward(self, *x):
        return sum(x[1:], x[0])


class Concat(nn.Module):
    def forward(self, *x):
        return torch.cat(x, 1)


class Operator(nn.Module):
    """One operator of a network: padding, what its kind computes, activation."""

    ACT = {"linear": nn.Identity, "relu": nn.ReLU, "relu6": nn.ReLU6}

    def __init__(self, op, shape):
        """Members that are missing have the defaults of docs/network.schema.json; `shape`, of
        every operator before by its name, gets this one's."""
        super().__init__()
        name = op.get("name", f"op{len(shape)}")
        self.inputs = op.get("inputs", [list(shape)[-1]])
        h, w, c = shape[self.inputs[0]]
        kind, bias = op["kind"], op.get("bias", True)
        self.before, self.after = nn.Identity(), self.ACT[op.get("act", "linear")]()
        if kind in ("conv2d", "depthwise", "max_pool", "avg_pool"):
            kernel, stride = op["kernel"], op.get("stride", 1)
            kernel = [kernel, kernel] if isinstance(kernel, int) else kernel
            top, bottom = pads(h, kernel[0], stride, op.get("padding", "same"), 0)
            left, right = pads(w, kernel[1], stride, op.get("padding", "same"), 1)
            pad = (left, right, top, bottom)
            h = (h + top + bottom - kernel[0]) // stride + 1
            w = (w + left + right - kernel[1]) // stride + 1
        if kind in ("conv2d", "depthwise"):
            out = op["channels"] if kind == "conv2d" else c
            groups = op.get("groups", 1) if kind == "conv2d" else c
            even = top == bottom and left == right
            self.main = nn.Conv2d(c, out, kernel, stride, (top, left) if even else 0,
                                  groups=groups, bias=bias)
            if not even:
                self.before = nn.ZeroPad2d(pad)
            c = out
        elif kind == "max_pool":
            self.before = nn.ConstantPad2d(pad, -math.inf)
            self.main = nn.MaxPool2d(kernel, stride)
        elif kind == "avg_pool":
            self.main = AvgPool(kernel, stride, pad)
        elif kind == "dense":
            self.before = Flatten()
            self.main = nn.Sequential(nn.Linear(h * w * c, op["channels"], bias),
                                      nn.Unflatten(1, (op["channels"], 1, 1)))
            h, w, c = 1, 1, op["channels"]
        elif kind == "global_pool":
            self.main = nn.AdaptiveAvgPool2d(1)
            h, w = 1, 1
        elif kind == "pad":
            top, left, bottom, right = op["padding"]
            self.main = nn.ZeroPad2d((left, right, top, bottom))
            h, w = h + top + bottom, w + left + right
        elif kind == "add":
            self.main = Add()
        elif kind == "concat":
            self.main = Concat()
            c = sum(shape[name][2] for name in self.inputs)
        elif kind == "batch_norm":
            self.main = nn.BatchNorm2d(c)
        elif kind in ("relu", "relu6"):
            self.main = self.ACT[kind]()
        elif kind == "softmax":  # part of the loss
            self.main = nn.Identity()
        else:
            raise ValueError(f"unknown operator kind '{kind}'")
        shape[name] = (h, w, c)

    def forward(self, *x):
        return self.after(self.main(*map(self.before, x)))


class Network(nn.Module):
    """A network in nasc's JSON: images [n][c][h][w] to logits [n][classes]. operator[i] is
    operator i + 1 of nasc, whose operator 0 is the input."""

    def __init__(self, network):
        super().__init__()
        shape = {"input": tuple(network["input"])}
        self.operator = nn.ModuleList(Operator(op, shape) for op in network["operators"])
        self.name, self.input = list(shape), shape["input"]
        for m in self.modules():  # He et al., ICCV 2015, as nasc's own trainer draws them
            if isinstance(m, (nn.Conv2d, nn.Linear)):
                fan_in = m.weight[0].numel()
                nn.init.normal_(m.weight, 0, math.sqrt((1 + isinstance(m, nn.Conv2d)) / fan_in))
                if m.bias is not None:
                    nn.init.zeros_(m.bias)

    def forward(self, x):
        value = {"input": x}
        for name, operator in zip(self.name[1:], self.operator):
            value[name] = operator(*(value[i] for i in operator.inputs))
        return Flatten()(value[self.name[-1]])


# ---- images -------------------------------------------------------------------


def read_idx(folder, name):
    """An IDX file of bytes, NAME or NAME.gz in FOLDER, as a tensor."""
    path = os.path.join(folder, name)
    opener, path = (open, path) if os.path.exists(path) else (gzip.open, path + ".gz")
    with opener(path, "rb") as f:
        zero, kind, dims = struct.unpack(">HBB", f.read(4))
        if zero != 0 or kind != 8:
            raise ValueError(f"{path}: not an IDX file of bytes")
        shape = struct.unpack(f">{dims}I", f.read(4 * dims))
        return torch.frombuffer(bytearray(f.read()), dtype=torch.uint8).reshape(shape)


class Images:
    """Images [n][1][h][w] in bytes with labels [n], and what normalises them."""

    def __init__(self, image, label, mean=None, std=None):
        self.image, self.label = image, label.long()
        if mean is None:  # of the training images
            value = torch.arange(256, dtype=torch.double) / 255
            part = torch.bincount(image.flatten(), minlength=256) / image.numel()
            mean = (part * value).sum().item()
            std = (part * (value - mean) ** 2).sum().sqrt().item() or 1.0
        self.mean, self.std = mean, std

    def batch(self, index):
        return (self.image[index].float() / 255 - self.mean) / self.std, self.label[index]


def load(folder, part):
    """Images and labels of a part, "train" or "t10k", as they lie in the files."""
    return (read_idx(folder, f"{part}-images-idx3-ubyte")[:, None],
            read_idx(folder, f"{part}-labels-idx1-ubyte"))


# ---- training ------------------------------------------------------------------


def train(model, images, epochs, args):
    """SGD with Nesterov's momentum, a cosine from `rate` to 0, and no weight decay on biases and
    batch norms: the recipe of nasc's own trainer."""
    params = list(model.parameters())
    optimizer = torch.optim.SGD(
        [{"params": [p for p in params if p.dim() > 1], "weight_decay": args.weight_decay},
         {"params": [p for p in params if p.dim() == 1], "weight_decay": 0}],
        lr=args.rate, momentum=args.momentum, nesterov=args.momentum > 0)
    batch = min(args.batch, len(images.label))
    epoch = len(images.label) // batch  # steps
    steps = max(1, round(epochs * epoch))
    model.train()
    for step in range(steps):
        if step % epoch == 0:
            order = torch.randperm(len(images.label))
        at = step % epoch * batch
        for group in optimizer.param_groups:
            group["lr"] = args.rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        x, y = images.batch(order[at:at + batch])
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if not math.isfinite(loss.item()):
            raise ArithmeticError(f"training diverged after {step + 1} of {steps} steps")


def accuracy(model, images, batch=256):
    right = 0
    model.eval()
    with torch.no_grad():
        for index in torch.arange(len(images.label)).split(batch):
            x, y = images.batch(index)
            right += (model(x).argmax(1) == y).sum().item()
    return right / len(images.label)


# ---- the evaluator --------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def split(folder, validation, seed):
    """Training and validation images: the same for all candidates of a run."""
    image, label = load(folder, "train")
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(seed))
    part = max(1, round(validation * len(label)))
    training = Images(image[order[part:]], label[order[part:]])
    return training, Images(image[order[:part]], label[order[:part]], training.mean, training.std)


def evaluate(request, args):
    seed = request["seed"] % 2**63
    training, validation = split(args.data, args.validation, seed)
    torch.manual_seed(random.Random(f"{seed} {request['id']}").getrandbits(63))
    model = Network(request["network"])
    height, width = training.image.shape[2:]
    if model.input != (height, width, 1):
        raise ValueError(f"the network's input is {model.input}, images are {(height, width, 1)}")
    train(model, training, request["budget"], args)
    return accuracy(model, validation)


def recipe(parser):
    parser.add_argument("--batch", type=int, default=64, help="images of a step")
    parser.add_argument("--rate", type=float, default=0.1, help="learning rate at the start")
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=1e-4)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with IDX files")
    parser.add_argument("--validation", type=float, default=0.1, help="part of the images")
    recipe(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"id": request["id"]}
        try:
            answer["accuracy"] = evaluate(request, args)
        except Exception as e:  # this candidate fails, the search goes on
            answer["failure"] = f"{type(e).__name__}: {e}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
