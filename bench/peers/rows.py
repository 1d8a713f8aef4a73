"""What the Python programs here share: points and rows as in bench_engine.c."""
import json
import math
import statistics
import time

CORNER = 1.1  # reference of every hypervolume, in each objective
REPEATS_MAX = 11
REPEATS_S = 0.4


def points(n, m, sphere):
    """n points from Marsaglia's xorshift: in the unit cube, or on the positive unit sphere."""
    state = 88172645463325252

    def unit():
        nonlocal state
        state ^= state << 13 & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 7
        state ^= state << 17 & 0xFFFFFFFFFFFFFFFF
        return (state >> 11) * 2.0**-53

    def normal():
        radius = math.sqrt(-2 * math.log(unit() + 1e-300))
        return abs(radius * math.cos(2 * math.pi * unit()))

    f = []
    for _ in range(n):
        p = [normal() if sphere else unit() for _ in range(m)]
        r = math.sqrt(sum(v * v for v in p)) if sphere else 1
        f.append([v / r for v in p])
    return f


def measure(call):
    """Median CPU time of repeated calls, and what the last returned."""
    took = []
    while not took or len(took) < REPEATS_MAX and sum(took) < REPEATS_S:
        began = time.process_time()
        value = call()
        took.append(time.process_time() - began)
    return statistics.median_high(took), value


def row(name, n, objectives, value, cpu_s):
    return {'name': name, 'n': n, 'objectives': objectives, 'value': value, 'cpu_s': cpu_s}


def show(rows):
    print(json.dumps(rows, indent=2))
