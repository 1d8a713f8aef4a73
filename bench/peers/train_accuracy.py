#!/usr/bin/python3
"""Does nasc train as well as PyTorch? One network, one recipe, several seeds each; Welch's test.

    bench/peers/train_accuracy.py build/nasc [--epochs 3] [--seeds 5] [--network NETWORK.json]

Both: He's initial weights, f32, SGD with Nesterov's momentum, a cosine to 0, no weight decay on
biases and batch norms, statistics of a batch norm over the whole batch, images normalised alike
and not augmented; all Fashion-MNIST's training images (or a random --fraction), then its test
images. Prints the test accuracies; for a difference that is none p is above 0.05 in 19 of 20 runs.

>>> round(p_value(2.228139, 10), 6)  # from tables of Student's t
0.05
>>> round(p_value(4.032143, 5), 6)
0.01
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, 'configs'))
import external_pytorch as pytorch  # noqa: E402
import torch  # noqa: E402

DENSENET = 'blocks: 3, layers: 3, growth: 8, kernel: 3, bottleneck: off, compression: 50, ' \
    'stem_width: 16, stem_kernel: 3, stem_stride: 2, activation: relu, transition_pool: avg'


def p_value(t, df):
    """Chance that Student's t of df degrees of freedom is further from 0 than t: with
    x = sqrt(df) tan(a) its density is cos(a)^(df - 1) / B(1/2, df/2); Simpson's rule."""
    low, n = math.atan(abs(t) / math.sqrt(df)), 2000
    width = (math.pi / 2 - low) / n
    total = sum((1 if i in (0, n) else 4 if i % 2 else 2) * math.cos(low + i * width) ** (df - 1)
                for i in range(n + 1)) * width / 3
    return 2 * total / math.exp(math.lgamma(.5) + math.lgamma(df / 2) - math.lgamma((df + 1) / 2))


def welch(a, b):
    """t, degrees of freedom, p: Welch, Biometrika 34, 1947."""
    u, v = statistics.variance(a) / len(a), statistics.variance(b) / len(b)
    t = (statistics.mean(a) - statistics.mean(b)) / math.sqrt(u + v)
    df = (u + v) ** 2 / (u * u / (len(a) - 1) + v * v / (len(b) - 1))
    return t, df, p_value(t, df)


def config(args, seed, path):
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'seed: {seed}\ndata: {{format: idx, directory: "{args.data}"}}\n'
                f'space: {{type: densenet, {DENSENET}}}\nobjectives: [params]\n'
                f'train: {{epochs: {args.epochs}, fraction: {args.fraction}, batch: {args.batch}, '
                f'shard: {args.batch}, rate: {args.rate}, momentum: {args.momentum}, '
                f'weight_decay: {args.weight_decay}, precision: f32}}\n')


def ours(args, seed, folder):
    config(args, seed, os.path.join(folder, 'config.yaml'))
    out = subprocess.run([args.nasc, 'train', args.network, '--config', f'{folder}/config.yaml',
                          '--json', '--jobs', str(args.jobs)], stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)['test_accuracy']


def theirs(args, seed, network):
    torch.manual_seed(seed)
    image, label = pytorch.load(args.data, 'train')
    training = pytorch.Images(image, label)
    some = torch.randperm(len(label))[:int(args.fraction * len(label))]
    test = pytorch.Images(*pytorch.load(args.data, 't10k'), training.mean, training.std)
    training = pytorch.Images(image[some], label[some], training.mean, training.std)
    model = pytorch.Network(network)
    pytorch.train(model, training, args.epochs, args)
    return pytorch.accuracy(model, test)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('nasc', help='the program')
    parser.add_argument('--data', default='/usr/share/datasets/fashion-mnist')
    parser.add_argument('--network', help='in JSON; else a small DenseNet')
    parser.add_argument('--epochs', type=int, default=3)
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--fraction', type=float, default=1, help='of the training images')
    parser.add_argument('--jobs', type=int, default=os.cpu_count(), help='threads')
    pytorch.recipe(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.jobs)
    with tempfile.TemporaryDirectory() as folder:
        if not args.network:
            config(args, 1, f'{folder}/config.yaml')
            out = subprocess.run([args.nasc, 'space', f'{folder}/config.yaml', '--sample', '1',
                                  '--json'], stdout=subprocess.PIPE, check=True)
            args.network = f'{folder}/network.json'
            with open(args.network, 'w', encoding='utf-8') as f:
                json.dump(json.loads(out.stdout)[0]['network'], f)
        with open(args.network, encoding='utf-8') as f:
            network = json.load(f)
        params = sum(p.numel() for p in pytorch.Network(network).parameters())
        print(f'{params} parameters, {args.epochs} epochs, {args.fraction:g} of the images')
        print('seed    nasc  PyTorch', flush=True)
        rows = []
        for seed in range(1, args.seeds + 1):
            rows.append((ours(args, seed, folder), theirs(args, seed, network)))
            print(f'{seed:4}  {rows[-1][0]:.4f}   {rows[-1][1]:.4f}', flush=True)
    a, b = zip(*rows)
    print(f'mean  {statistics.mean(a):.4f}   {statistics.mean(b):.4f}')
    print(f'std   {statistics.stdev(a):.4f}   {statistics.stdev(b):.4f}')
    print("Welch's t = {:.2f}, {:.1f} degrees of freedom, p = {:.3f}".format(*welch(a, b)))


if __name__ == '__main__':
    main()
