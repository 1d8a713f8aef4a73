#!/usr/bin/python3
"""DEAP's NSGA-II, sorting and hypervolume (its C module): the rows of bench_engine.c."""
import array
import random
import statistics
import time

import numpy
from deap import base, benchmarks, creator, tools
from deap.tools._hypervolume import hv

from rows import CORNER, measure, points, row, show

POPULATION = 100
GENERATIONS = 249
SEEDS = 3

for m in range(2, 6):
    creator.create(f'Minimise{m}', base.Fitness, weights=(-1.0,) * m)
    creator.create(f'Individual{m}', array.array, typecode='d',
                   fitness=getattr(creator, f'Minimise{m}'))


def individual(m, x, f):
    one = getattr(creator, f'Individual{m}')(x)
    one.fitness.values = tuple(f)
    return one


def volume(f, m):
    inside = [p for p in f if max(p) < CORNER]
    return hv.hypervolume(numpy.array(inside), numpy.full(m, CORNER)) if inside else 0.0


def vary(parents, rate):
    """Pairs of copies, crossed and mutated; their fitness is no longer theirs."""
    bounds = {'low': 0.0, 'up': 1.0}
    children = [type(p)(p) for p in parents]
    for a, b in zip(children[::2], children[1::2]):
        if random.random() < 0.9:
            tools.cxSimulatedBinaryBounded(a, b, eta=15, **bounds)
    for child in children:
        tools.mutPolynomialBounded(child, eta=20, indpb=rate, **bounds)
    return children


def nsga2(evaluate, n_vars, m, seed):
    """The objectives of the last population."""
    random.seed(seed)

    def scored(xs):
        return [individual(m, x, evaluate(x)) for x in xs]

    first = scored([[random.random() for _ in range(n_vars)] for _ in range(POPULATION)])
    population = tools.selNSGA2(first, POPULATION)
    for _ in range(GENERATIONS):
        parents = tools.selTournamentDCD(population, POPULATION)
        children = scored(vary(parents, 1 / n_vars))
        population = tools.selNSGA2(population + children, POPULATION)
    return [one.fitness.values for one in population]


def run_nsga2(name, evaluate, n_vars, m):
    took, value = [], []
    for seed in range(1, SEEDS + 1):
        began = time.process_time()
        f = nsga2(evaluate, n_vars, m, seed)
        took.append(time.process_time() - began)
        value.append(volume(f, m))
    return row(f'nsga2 {name}', POPULATION * (GENERATIONS + 1), m, statistics.median(value),
               statistics.median(took))


def sort_points(n, m):
    cloud = [individual(m, p, p) for p in points(n, m, False)]
    took, fronts = measure(lambda: tools.sortLogNondominated(cloud, n))
    return row('rank', n, m, len(fronts), took)


def measure_volume(n, m):
    sphere = numpy.array(points(n, m, True))
    took, value = measure(lambda: hv.hypervolume(sphere, numpy.full(m, CORNER)))
    return row('hypervolume', n, m, value, took)


show([measure_volume(1000, m) for m in range(2, 5)]
     + [sort_points(n, m) for n in (1000, 10000) for m in range(2, 6)]
     + [run_nsga2('zdt1', benchmarks.zdt1, 30, 2),
        run_nsga2('dtlz2', lambda x: benchmarks.dtlz2(x, 3), 12, 3)])
