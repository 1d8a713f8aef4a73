#!/usr/bin/python3
"""Images per second of PyTorch in training, by arrangement: a JSON line a network.

The networks, and a process that trains one, are those of a script of another project: a module with
NETS, by name, and worker(spec, batch, steps, threads, bf16, nhwc, barrier, out), which puts seconds
and the number of parameters into the queue out. All cores train: as many processes of one thread,
or one process of as many threads; in NCHW or NHWC; in f32 or, unless --f32, bf16.
"""
import argparse
import importlib
import itertools
import json
import multiprocessing
import os
import sys


def images_per_s(peer, spec, args, procs, threads, bf16, nhwc):
    """Until the slowest process is through, and the parameters of the network."""
    context = multiprocessing.get_context('spawn')
    barrier, out = context.Barrier(procs), context.Queue()
    processes = [context.Process(target=peer.worker, args=(spec, args.batch, args.steps, threads,
                                                           bf16, nhwc, barrier, out))
                 for _ in range(procs)]
    for process in processes:
        process.start()
    rows = [out.get() for _ in processes]
    for process in processes:
        process.join()
    return procs * args.batch * args.steps / max(s for s, _ in rows), rows[0][1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--peer', required=True, help='the script')
    parser.add_argument('--steps', type=int, default=6)
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--f32', action='store_true')
    parser.add_argument('nets', nargs='+')
    args = parser.parse_args()
    folder, name = os.path.split(os.path.abspath(args.peer))
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    peer = importlib.import_module(name.removesuffix('.py'))

    cores = len(os.sched_getaffinity(0))
    for net in args.nets:
        rows = []
        for (procs, threads), bf16, nhwc in itertools.product(
                sorted({(cores, 1), (1, cores)}), [False] if args.f32 else [False, True],
                [False, True]):
            rate, params = images_per_s(peer, peer.NETS[net], args, procs, threads, bf16, nhwc)
            rows.append({'processes': procs, 'threads': threads, 'bf16': bf16, 'nhwc': nhwc,
                         'images_per_s': rate})
        print(json.dumps({'net': net, 'params': params, 'all': rows}), flush=True)


if __name__ == '__main__':
    main()
