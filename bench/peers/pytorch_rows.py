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
import time


class Watch:
    """Barrier and queue of a worker, that take its processor time between its two waits."""

    def __init__(self, barrier, queue):
        self.barrier, self.queue, self.cpu_s = barrier, queue, None

    def wait(self):
        if self.cpu_s is None:
            self.barrier.wait()
            self.cpu_s = -time.process_time()
        else:
            self.cpu_s += time.process_time()
            self.barrier.wait()

    def put(self, row):
        self.queue.put((*row, self.cpu_s))


def measure(peer, spec, args, procs, threads, bf16, nhwc):
    """A row, and the parameters of the network."""
    context = multiprocessing.get_context('spawn')
    watch = Watch(context.Barrier(procs), context.Queue())
    processes = [context.Process(target=peer.worker, args=(spec, args.batch, args.steps, threads,
                                                           bf16, nhwc, watch, watch))
                 for _ in range(procs)]
    for process in processes:
        process.start()
    seconds, params, cpu_s = zip(*[watch.queue.get() for _ in processes])
    for process in processes:
        process.join()
    images = procs * args.batch * args.steps
    return {'processes': procs, 'threads': threads, 'bf16': bf16, 'nhwc': nhwc,
            'images_per_s': images / max(seconds), 'images_per_cpu_s': images / sum(cpu_s)
            }, params[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--peer', required=True, help='the script')
    parser.add_argument('--steps', type=int, default=6)
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--f32', action='store_true')
    parser.add_argument('--quick', action='store_true', help='one process a core, NHWC alone')
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
                [(cores, 1)] if args.quick else sorted({(cores, 1), (1, cores)}),
                [False] if args.f32 else [False, True], [True] if args.quick else [False, True]):
            row, params = measure(peer, peer.NETS[net], args, procs, threads, bf16, nhwc)
            rows.append(row)
        print(json.dumps({'net': net, 'params': params, 'all': rows}), flush=True)


if __name__ == '__main__':
    main()
