#!/usr/bin/env python3
"""An evaluator for nasc in Python, standard library only.

    evaluator:
      type: external
      command: [python3, configs/external_example.py]
      timeout: 10 min   # per candidate
      budget: 1         # passed on as it is; here: epochs. With `fidelity` the rungs' epochs come first

nasc starts this program once per worker and then, candidate after candidate, writes one line of
JSON to its standard input and waits for one line on its standard output:

    {"id":7,"network":{...},"budget":1,"seed":42}
    {"id":7,"accuracy":0.9132}      or {"id":7,"error":0.0868}
                                    or {"id":7,"failure":"out of memory"}

- The answer repeats the id. accuracy and error are fractions in [0, 1], not per cent.
- Standard output is for answers alone, so print() everything else to sys.stderr. Its last line is
  shown where the program ends of itself without an answer, not where it runs out of time.
- End of input means that the search is over: leave.
- Were nasc killed (kill -9), this program would end too, but not the programs that it started. So a
  shell script around the real evaluator ends in `exec python3 train.py`, not in `python3 train.py`.
- Same line in, same answer out: derive every random number from seed and id. A resumed search, or
  one with another number of workers, hands the candidates to other processes.
"""

import json
import math
import sys


def window(size, kernel, stride, padding, axis):
    """Output height (axis 0) or width (1) of a window that slides over `size` cells."""
    if padding == "same":
        return -(-size // stride)
    if padding != "valid":  # cells above, left, below, right
        size += padding[axis] + padding[axis + 2]
    return (size - kernel) // stride + 1


def count(network):
    """Parameters, multiply-accumulates and classes of a network.

    Operators come in an order in which they can run and name the operators they read; the image
    is called "input". Layout is height, width, channels. docs/network.schema.json says all.
    """
    shape = {"input": tuple(network["input"])}
    params = macs = 0
    for op in network["operators"]:
        kind = op["kind"]
        h, w, c = shape[op["inputs"][0]]
        if kind in ("conv2d", "depthwise", "max_pool", "avg_pool"):
            kernel_h, kernel_w = op["kernel"]
            out_h = window(h, kernel_h, op["stride"], op["padding"], 0)
            out_w = window(w, kernel_w, op["stride"], op["padding"], 1)
            out_c = op["channels"] if kind == "conv2d" else c
            if kind in ("conv2d", "depthwise"):
                groups = op["groups"] if kind == "conv2d" else c
                weights = kernel_h * kernel_w * (c // groups) * out_c
                params += weights + (out_c if op["bias"] else 0)
                macs += weights * out_h * out_w
            h, w, c = out_h, out_w, out_c
        elif kind == "dense":
            weights = h * w * c * op["channels"]
            params += weights + (op["channels"] if op["bias"] else 0)
            macs += weights
            h, w, c = 1, 1, op["channels"]
        elif kind == "global_pool":
            h, w = 1, 1
        elif kind == "pad":
            h, w = window(h, 1, 1, op["padding"], 0), window(w, 1, 1, op["padding"], 1)
        elif kind == "concat":
            c = sum(shape[name][2] for name in op["inputs"])
        elif kind == "batch_norm":
            params += 2 * c
        elif kind not in ("add", "relu", "relu6", "softmax"):
            raise ValueError(f"unknown operator kind '{kind}'")
        shape[op["name"]] = (h, w, c)
    return params, macs, h * w * c


def evaluate(network, budget, seed):
    """Accuracy of a network: THE PLACE TO PUT REAL TRAINING.

    Build the model from network["operators"] in your framework, seed the framework with `seed`,
    train for `budget` epochs, return the accuracy on a validation set; never on the test set.

    Until then this makes a figure up: it rises smoothly with parameters, multiply-accumulates
    and budget, and levels off, so that a search has something to trade against size.
    """
    del seed  # nothing here is random
    params, macs, classes = count(network)
    chance = 1 / max(classes, 1)
    capacity = 1 - math.exp(-((params / 5e3) ** 0.5))
    depth = 1 - math.exp(-((macs / 2e5) ** 0.5))
    trained = 1 - 0.3 * math.exp(-budget)
    return chance + (0.97 - chance) * capacity * depth * trained


def main():
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"id": request["id"]}
        try:
            answer["accuracy"] = evaluate(request["network"], request["budget"], request["seed"])
        except Exception as e:  # this candidate fails, the search goes on
            answer["failure"] = f"{type(e).__name__}: {e}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
