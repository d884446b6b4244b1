"""Replay a schedule, or search for a failing one.

python -m tests.simulation --seed 42 --trace
python -m tests.simulation --from 0 --count 10000 --without fencing
"""

from __future__ import annotations

import argparse
import sys
import time

from .guards import GUARDS
from .world import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="only this schedule")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--count", type=int, default=10_000, help="how many seeds")
    parser.add_argument("--trace", action="store_true", help="print all that happens")
    parser.add_argument(
        "--without", choices=GUARDS, action="append", default=[], help="take out a guard"
    )
    options = parser.parse_args()
    first, count = (options.seed, 1) if options.seed is not None else (options.first, options.count)
    began, steps, bad, ran = time.monotonic(), 0, 0, 0
    off = frozenset(options.without)
    for verdict in simulate(range(first, first + count), off=off, traced=options.trace):
        ran, steps = ran + 1, steps + verdict.steps
        print("\n".join(verdict.trace), end="\n" if verdict.trace else "")
        for violation in verdict.violations:
            print(f"seed {verdict.seed}: {violation}")
        bad += bool(verdict.violations)
        if bad >= 5:
            break
    took = time.monotonic() - began
    print(f"{ran} schedules, {steps} steps, {took:.1f} s; {bad} with violations")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
