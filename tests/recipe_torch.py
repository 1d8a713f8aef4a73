"""Numbers of PyTorch that tests/test_recipe.c compares with: /usr/bin/python3 tests/recipe_torch.py

Prints C arrays; made with Debian's python3-torch 1.13.1."""
import math

import torch
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel

torch.set_default_dtype(torch.float64)


def show(name, values):
    print(f"{name}: " + ", ".join(f"{v:.9f}" for v in values))


def start(i):
    return 0.3 * math.sin(1 + 2 * i)


def gradient(i, t):
    return 0.5 * math.cos(i + 1.7 * t)


# Two inputs, three classes: six weights, which decay, then three biases.
WEIGHTS, BIASES, STEPS = 6, 3, 5


def run(optimizer):
    w = torch.nn.Parameter(torch.tensor([start(i) for i in range(WEIGHTS)]))
    b = torch.nn.Parameter(torch.tensor([start(WEIGHTS + i) for i in range(BIASES)]))
    model = torch.nn.ParameterList([w, b])
    average = AveragedModel(model, avg_fn=lambda old, new, n: None)
    done = [0]

    def ema(old, new, _):
        d = min(0.9, (1 + done[0]) / (10 + done[0]))
        return d * old + (1 - d) * new

    average.avg_fn = ema
    average.n_averaged += 1  # the first update averages, it does not copy
    groups = [{"params": [w], "weight_decay": 0.1}, {"params": [b], "weight_decay": 0}]
    if optimizer == "adamw":
        o = torch.optim.AdamW(groups, lr=0.01, betas=(0.8, 0.95), eps=1e-6)
    else:
        o = torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True)
    for t in range(STEPS):
        w.grad = torch.tensor([gradient(i, t) for i in range(WEIGHTS)])
        b.grad = torch.tensor([gradient(WEIGHTS + i, t) for i in range(BIASES)])
        o.step()
        done[0] = t + 1
        average.update_parameters(model)
    show(optimizer, [v.item() for p in model for v in p])
    show(optimizer + " average", [v.item() for p in average.module for v in p])


def schedule():
    o = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    warm = lr_scheduler.LinearLR(o, start_factor=1 / 3, total_iters=2)
    cosine = lr_scheduler.CosineAnnealingLR(o, T_max=9)
    both = lr_scheduler.SequentialLR(o, [warm, cosine], milestones=[3])
    rates = []
    for _ in range(12):
        rates.append(o.param_groups[0]["lr"])
        o.step()
        both.step()
    show("rates", rates)


def losses():
    z = torch.tensor([[1.0, -0.5, 0.25, 2.0], [0.0, 3.0, -1.0, 0.5], [-2.0, 0.5, 0.125, 0.0]])
    label, other, part = torch.tensor([0, 1, 3]), torch.tensor([2, 1, 0]), 0.3
    weight = torch.tensor([0.5, 2.0, 1.0, 1.5])
    for smoothing in 0, 0.1:
        for w in None, weight:
            for mix in 0, part:
                x = z.clone().requires_grad_()
                loss = (1 - mix) * F.cross_entropy(x, label, w, label_smoothing=smoothing, reduction="none")
                loss = loss + mix * F.cross_entropy(x, other, w, label_smoothing=smoothing, reduction="none")
                loss.sum().backward()
                show(f"smoothing {smoothing}, {'weighted' if w is not None else 'alike'}, mix {mix}",
                     [loss.sum().item()] + [v.item() for v in x.grad.flatten() / 3])


run("sgd")
run("adamw")
schedule()
losses()
