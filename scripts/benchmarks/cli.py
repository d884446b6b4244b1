"""How fast the restaurant is, on private servers: intake, kitchen beside its peers, relay and more.

Absolute results follow the machine and whatever else runs on it; ratios and processor time an order
are steadier.
"""

import argparse
import shutil
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import cpu, report
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
from benchmarks.results import MeasurementFailed, Result
from benchmarks.soak import soak_test
from bootstrap.data_dir import FOLDER, DataFolderError
from devservices import ProcessFailed, Servers
from supervisor.signals import run_in_data_dir
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
FAILURES = (DataFolderError, MeasurementFailed, OSError, ProcessFailed, RuntimeError)


def main() -> int:
    """Measure, print the table, write the file; 0 when all was measured, whatever the results."""
    options = parse_arguments()
    began = time.monotonic()
    results: list[Result] = []
    complete = run_in_data_dir(
        lambda folder: run(folder / "bench", options, results), "the benchmark failed", FAILURES
    )
    print()
    report.show(results)
    report.write(options.json, results, time.monotonic() - began)
    return int(not complete)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "--only", type=_names, metavar="NAME,…",
        default=[name for name in MEASUREMENTS if name not in BY_NAME_ONLY],
        help=f"measure only these: {', '.join(MEASUREMENTS)} "
             f"(by default all but {', '.join(BY_NAME_ONLY)})",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="shorter and rougher, about a minute")
    parser.add_argument(
        "--orders", type=int, default=soak_test.ORDERS, metavar="NUMBER",
        help="how many orders `held` sends through the whole line (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--calm", type=float, default=0.0, metavar="SECONDS",
        help="before each measurement wait so long for others to leave the machine alone",
    )  # fmt: skip
    parser.add_argument(
        "--json", type=Path, default=FOLDER / "bench.json", metavar="PATH",
        help="where the details go (%(default)s)",
    )  # fmt: skip
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in MEASUREMENTS:
            raise argparse.ArgumentTypeError(f"knows {', '.join(MEASUREMENTS)}, not {name!r}")
    return names


def run(folder: Path, options: argparse.Namespace, results: list[Result]) -> bool:
    """Take the measurements on servers of their own; False when one of them failed."""
    complete = True
    shutil.rmtree(folder, ignore_errors=True)
    servers = Servers(folder)
    try:
        with step("Starting PostgreSQL and RabbitMQ"):
            servers.start()
        environment = BenchEnvironment(servers, folder / "logs")
        measurements = MEASUREMENTS | {"held": partial(soak_test.measure, orders=options.orders)}
        for name in options.only:
            if options.calm:
                with step("Waiting for a calm machine"):
                    cpu.wait_until_calm(options.calm)
            calibration = cpu.calibrate(folder)
            background_load = cpu.BackgroundLoad()
            try:
                found = measurements[name](environment, options.quick)
                share = background_load.share()
                results += [
                    replace(result, background_load=share, calibration=calibration)
                    for result in found
                ]
            except FAILURES as error:
                print(f"pizza: {name} could not be measured: {error}", file=sys.stderr)
                complete = False
    finally:
        with step("Stopping"):
            servers.stop()
    return complete
