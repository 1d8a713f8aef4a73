#!/usr/bin/python3
"""Optuna's NSGA-II sampler, storage in memory: one row of bench_engine.c, on fewer trials."""
import math
import time

import numpy
import optuna
from optuna._hypervolume import WFG

from rows import CORNER, row, show

TRIALS = 1000
VARIABLES = 30


def zdt1(trial):
    x = [trial.suggest_float(f'x{i}', 0, 1) for i in range(VARIABLES)]
    g = 1 + 9 * sum(x[1:]) / (VARIABLES - 1)
    return x[0], g * (1 - math.sqrt(x[0] / g))


optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(directions=['minimize', 'minimize'],
                            sampler=optuna.samplers.NSGAIISampler(population_size=100, seed=1))
began = time.process_time()
study.optimize(zdt1, n_trials=TRIALS)
took = time.process_time() - began
inside = [t.values for t in study.best_trials if max(t.values) < CORNER]
value = WFG().compute(numpy.array(inside), numpy.full(2, CORNER)) if inside else 0.0
show([row('nsga2 zdt1', TRIALS, 2, value, took)])
