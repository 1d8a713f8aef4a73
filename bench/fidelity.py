#!/usr/bin/env python3
"""Is a front found with rungs better than one found by whole trainings in the same time?

    python3 bench/fidelity.py build/nasc --seeds 6 --time 120
    python3 bench/fidelity.py build/nasc --seeds 5 --time 120 --wall

Each seed's two searches of bench/fidelity.yaml differ in `fidelity` alone. A search has one job
and its time is that of its processor: what else the machine does changes nothing. With --wall
it has all processors, one search after the other, and the time is the clock's: a core that
waits counts too, and the machine has to be idle. When it is over the search is interrupted and
writes what it has.

A network on a front is wholly trained in both, and from the same random streams: the error
that one search has for it is the one that the other would have. The hypervolume is that of
results.json, with one corner for all. Prints a line a search, then the difference with
Wilcoxon's signed-rank test, exact, and Welch's t.
"""

import argparse
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ARMS = {"whole": [], "rungs": ["--set", "fidelity={epochs: [1, 3]}"]}
INTERRUPTED = 130


class Search:
    def __init__(self, args, arm, seed, folder):
        config = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fidelity.yaml")
        self.arm, self.seed, self.limit = arm, seed, args.time
        self.out = os.path.join(folder, f"{arm}-{seed}.json")
        command = [args.nasc, "search", config, "--out", self.out, "--seed", str(seed)]
        command += [*ARMS[arm], *([] if args.wall else ["--jobs", "1"])]
        self.wall, self.begun = args.wall, time.monotonic()
        self.errors = open(self.out + ".err", "w+", encoding="utf-8")
        self.process = subprocess.Popen(command, stderr=self.errors)
        self.asked = False

    def time(self):
        if self.wall:
            return time.monotonic() - self.begun
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def over(self):
        """Stop it where its time is up."""
        if self.process.poll() is not None:
            return True
        if self.time() >= self.limit:
            if not self.asked:
                self.process.send_signal(signal.SIGINT)
            self.asked = True
        return False

    def results(self):
        if self.process.returncode not in (0, INTERRUPTED):
            self.errors.seek(0)
            sys.exit(f"{self.arm}, seed {self.seed}: {self.errors.read()}")
        with open(self.out, encoding="utf-8") as f:
            return json.load(f)


def signed_rank(differences):
    """Two-sided p of Wilcoxon's test, over all signs; ties share their ranks."""
    d = sorted((x for x in differences if x), key=abs)
    sizes = [abs(x) for x in d]
    ranks = [statistics.mean(i + 1 for i, s in enumerate(sizes) if s == x) for x in sizes]
    got = abs(sum(r if x > 0 else -r for r, x in zip(ranks, d)))
    signs = list(itertools.product((1, -1), repeat=len(d)))
    return sum(abs(sum(s * r for s, r in zip(sign, ranks))) >= got for sign in signs) / len(signs)


def welch(a, b):
    """t, and its degrees of freedom (Welch 1947)."""
    va, vb = statistics.variance(a) / len(a), statistics.variance(b) / len(b)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return (statistics.mean(b) - statistics.mean(a)) / (va + vb) ** 0.5, freedom


def report(search, volume):
    r = search.results()
    volume[search.arm][search.seed] = r["hypervolume"][-1]["value"]
    reached = [rung["reached"] for rung in r.get("rungs", [])] or [r["trained"]]
    errors = [n["scores"]["error"]["value"] for n in r["front"]]
    print(f"seed {search.seed} {search.arm}: hypervolume {r['hypervolume'][-1]['value']:.4f}, "
          f"reached {reached}, front of {len(errors)}, least error {min(errors):.4f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nasc")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--time", type=float, default=120, help="seconds a search")
    parser.add_argument("--at-once", type=int, default=2, help="searches, without --wall")
    parser.add_argument("--wall", action="store_true", help="the clock's seconds, all processors")
    args = parser.parse_args()
    volume = {arm: {} for arm in ARMS}
    todo = [(seed, arm) for seed in range(1, args.seeds + 1) for arm in ARMS]
    running = []
    with tempfile.TemporaryDirectory() as folder:
        while todo or running:
            while todo and len(running) < (1 if args.wall else args.at_once):
                seed, arm = todo.pop(0)
                running.append(Search(args, arm, seed, folder))
            for search in [s for s in running if s.over()]:
                running.remove(search)
                report(search, volume)
            time.sleep(0.1)
    whole, rungs = ([volume[arm][seed] for seed in sorted(volume[arm])] for arm in ARMS)
    for arm, v in zip(ARMS, (whole, rungs)):
        print(f"{arm}: {statistics.mean(v):.4f} +- {statistics.stdev(v):.4f}")
    d = [b - a for a, b in zip(whole, rungs)]
    t, freedom = welch(whole, rungs)
    print(f"rungs - whole: {statistics.mean(d):+.4f}, better in {sum(x > 0 for x in d)} of "
          f"{len(d)}, Wilcoxon p = {signed_rank(d):.3f}, Welch t = {t:.2f} with {freedom:.1f} "
          "degrees of freedom")


if __name__ == "__main__":
    main()
