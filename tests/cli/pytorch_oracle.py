"""PyTorch's answers about networks and weights of nasc, for pytorch.sh.

    pytorch_oracle.py CONFIGS data FOLDER                 write a small data set in IDX files
    pytorch_oracle.py CONFIGS params FILE...              trainable parameters of a network, or
                                                          of each network of results
    pytorch_oracle.py CONFIGS confusion WEIGHTS FOLDER    of the test images, one row a line
"""
import json
import os
import random
import struct
import sys

sys.path.insert(0, sys.argv[1])
import external_pytorch as pytorch  # noqa: E402
import torch  # noqa: E402

HEIGHT, WIDTH, CLASSES = 14, 11, 4


def write_idx(path, shape, values):
    with open(path, 'wb') as f:
        f.write(struct.pack(f'>HBB{len(shape)}I', 0, 8, len(shape), *shape) + bytes(values))


def data(folder):
    """Classes are told apart by the quarter of the image that is bright, through noise."""
    rng = random.Random(1)
    for part, n in (('train', 400), ('t10k', 300)):
        labels = [rng.randrange(CLASSES) for _ in range(n)]
        pixels = [rng.randrange(200) + 55 * (2 * y // HEIGHT * 2 + 2 * x // WIDTH == label)
                  for label in labels for y in range(HEIGHT) for x in range(WIDTH)]
        write_idx(os.path.join(folder, f'{part}-labels-idx1-ubyte'), (n,), labels)
        write_idx(os.path.join(folder, f'{part}-images-idx3-ubyte'), (n, HEIGHT, WIDTH), pixels)


def params(*paths):
    for path in paths:
        with open(path, encoding='utf-8') as f:
            content = json.load(f)
        for network in [row['network'] for row in content.get('front', [])] or [content]:
            print(sum(p.numel() for p in pytorch.Network(network).parameters()))


def load_weights(path):
    """The network in a weights file of nasc, with its weights."""
    with open(path, 'rb') as f:
        header = json.loads(f.read(struct.unpack('<Q', f.read(8))[0]))
        values = torch.frombuffer(bytearray(f.read()), dtype=torch.float32)
    model = pytorch.Network(json.loads(header.pop('__metadata__')['network']))
    given = 0
    for key, entry in header.items():
        op, role = key.split('.')
        at, end = entry['data_offsets']
        value = values[at // 4:end // 4].reshape(entry['shape'])
        module = next(m for m in model.operator[int(op) - 1].modules() if hasattr(m, 'bias'))
        if role == 'weights' and isinstance(module, torch.nn.Linear):
            value = value.flatten(0, 2).T
        elif role == 'weights':
            value = value.permute(3, 2, 0, 1)
        name = {'weights': 'weight', 'gamma': 'weight', 'bias': 'bias', 'beta': 'bias',
                'mean': 'running_mean', 'variance': 'running_var'}[role]
        with torch.no_grad():
            getattr(module, name).copy_(value)
        given += value.numel() if role not in ('mean', 'variance') else 0
    assert given == sum(p.numel() for p in model.parameters())
    return model


def confusion(weights, folder):
    training = pytorch.Images(*pytorch.load(folder, 'train'))
    test = pytorch.Images(*pytorch.load(folder, 't10k'), training.mean, training.std)
    model = load_weights(weights).eval()
    x, truth = test.batch(torch.arange(len(test.label)))
    with torch.no_grad():
        answer = model(x).argmax(1)
    for row in torch.bincount(truth * CLASSES + answer, minlength=CLASSES**2).split(CLASSES):
        print(*row.tolist())


if __name__ == '__main__':
    torch.set_num_threads(1)
    {'data': data, 'params': params, 'confusion': confusion}[sys.argv[2]](*sys.argv[3:])
