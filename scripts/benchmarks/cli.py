"""How fast the restaurant is, on private servers: intake, kitchen, relay and more.

Absolute results follow the machine and whatever else runs on it; ratios and processor time an order
are steadier.
"""

import argparse
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import cpu
from benchmarks.environment import BenchEnvironment
from benchmarks.measurements import (
    dispatch,
    end_to_end,
    estimate,
    housekeeping,
    intake,
    kitchen,
    memory,
    relay,
    streams,
)
from benchmarks.results import Result, show_table, write_file
from benchmarks.soak import soak_test
from bootstrap.data_dir import FOLDER
from supervisor.program import fresh_servers, run_program
from terminal.progress import step

MEASUREMENTS = {
    "intake": intake.measure,
    "kitchen": kitchen.measure,
    "stack": end_to_end.measure,
    "dispatch": dispatch.measure,
    "relay": relay.measure,
    "memory": memory.measure,
    "estimate": estimate.measure,
    "streams": streams.measure,
    "housekeeping": housekeeping.measure,
    "held": soak_test.measure,
}
# Takes longer than all others together.
BY_NAME_ONLY = ("held",)
FAILURES = (OSError, RuntimeError)  # MeasurementFailed, ProcessFailed and more


def main() -> int:
    """Measure, print the table, write the file; 0 when all was measured, whatever the results."""
    options = parse_arguments()
    began = time.monotonic()
    results: list[Result] = []
    code = run_program(lambda: run(options, results), FAILURES, "the benchmark failed: ")
    print()
    show_table(results)
    write_file(options.json, results, time.monotonic() - began)
    return code


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    add = parser.add_argument
    default = [name for name in MEASUREMENTS if name not in BY_NAME_ONLY]
    names = f"{', '.join(MEASUREMENTS)} (by default all but {', '.join(BY_NAME_ONLY)})"
    help = f"measure only these: {names}"
    add("--only", type=_names, metavar="NAME,…", default=default, help=help)
    add("--quick", action="store_true", help="shorter and rougher, about a minute")
    help = "how many orders `held` sends through all stations (%(default)s)"
    add("--orders", type=int, default=soak_test.ORDERS, metavar="NUMBER", help=help)
    help = "before each measurement wait so long for other programs to leave the processors"
    add("--calm", type=float, default=0.0, metavar="SECONDS", help=help)
    help = "where the details go (%(default)s)"
    add("--json", type=Path, default=FOLDER / "bench.json", metavar="PATH", help=help)
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in MEASUREMENTS:
            raise argparse.ArgumentTypeError(f"knows {', '.join(MEASUREMENTS)}, not {name!r}")
    return names


def run(options: argparse.Namespace, results: list[Result]) -> int:
    """Take the measurements on private servers; 1 when one of them failed."""
    code = 0
    measurements = MEASUREMENTS | {"held": partial(soak_test.measure, orders=options.orders)}
    with fresh_servers("bench") as (servers, folder):
        environment = BenchEnvironment(servers, folder / "logs")
        for name in options.only:
            if options.calm:
                with step("Waiting until other programs are idle"):
                    cpu.wait_until_idle(options.calm)
            calibration = cpu.calibrate(folder)
            load = cpu.BackgroundLoad()
            try:
                found = measurements[name](environment, options.quick)
            except FAILURES as error:
                print(f"pizza: {name} could not be measured: {error}", file=sys.stderr)
                code = 1
                continue
            share = load.share()
            results += [
                replace(each, background_load=share, calibration=calibration) for each in found
            ]
    return code


if __name__ == "__main__":
    sys.exit(main())
