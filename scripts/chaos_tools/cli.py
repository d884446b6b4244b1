"""Fault scenarios against the full restaurant, on private servers, checked in its database.

Orders arrive steadily while processes are killed or frozen, servers crash, hang or lose their disk,
the network breaks and messages arrive a hundred times. Then all faults are undone, and every order
has to be delivered. The exit status is 1 unless every count of errors is zero.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from bootstrap.data_dir import FOLDER
from chaos_tools import scenarios
from chaos_tools.report import MUST_BE_EMPTY, Report
from chaos_tools.run import RunOptions, run_scenario
from chaos_tools.scenario import SCENARIOS
from devservices import ProcessFailed
from pizza.database.errors import DatabaseError
from supervisor.api_client import ApiError
from supervisor.program import fresh_servers, run_program, write_json
from terminal.tables import print_table

for module in iter_modules(scenarios.__path__):
    import_module(f"{scenarios.__name__}.{module.name}")  # registers its scenarios

FAILURES = (ApiError, DatabaseError, OSError, ProcessFailed)
QUICK_SECONDS = 6.0
HEADINGS = (
    *("scenario", "accepted", "delivered"),
    *("lost", "doubled", "overlap", "wrong", "missing", "missed", "disorder", "died", "no JSON"),
    *("failed", "denied", "late", "grown", "hits", "answer", "recovery", "drained"),
)


def main() -> int:
    """Run the scenarios that were named; 0 when no report has an error."""
    options = parse_arguments()
    if options.list:
        print("\n".join(f"{each.name:21} {each.description}" for each in SCENARIOS.values()))
        return 0
    reports: list[Report] = []
    prefix = "the scenarios could not be run: "
    code = run_program(lambda: run(options, reports), FAILURES, prefix)
    show(reports)
    write(options.json, reports)
    return 0 if code == 0 and all(report.good for report in reports) else 1


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", default=["all"], help="scenarios by name, or all")
    add("--list", action="store_true", help="list the scenarios, and end")
    add("--seed", type=int, default=1, help="same seed, same injections (%(default)s)")
    add("--seconds", type=float, default=30.0, help="length of each scenario (%(default)s)")
    add("--rate", type=float, default=6.0, help="orders a second (%(default)s)")
    add("--quick", action="store_true", help=f"scenarios of {QUICK_SECONDS:.0f} s")
    add("--full", action="store_true", help="the long cook for its 5 minutes")
    help = "do not send an order again whose response was lost"
    add("--leave-unanswered", dest="retry_unanswered", action="store_false", help=help)
    add("--json", type=Path, default=FOLDER / "chaos.json", help="where the details go")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in (*SCENARIOS, "all")]
    if unknown:
        known = ", ".join(SCENARIOS)
        parser.error(f"there is no scenario {unknown[0]!r}; there are {known} and all")
    if options.seconds <= 0 or options.rate <= 0:
        parser.error("--seconds and --rate must be above 0")
    return options


def run(options: argparse.Namespace, reports: list[Report]) -> int:
    """Run the scenarios on private servers; 0 when each of them ended in a report."""
    names = list(SCENARIOS) if "all" in options.names else list(dict.fromkeys(options.names))
    run_options = RunOptions(
        options.seed,
        QUICK_SECONDS if options.quick else options.seconds,
        options.rate,
        full=options.full,
        retry_unanswered=options.retry_unanswered,
    )
    with fresh_servers("chaos") as (servers, folder):
        for name in names:
            try:
                report = run_scenario(servers, folder / "logs", SCENARIOS[name], run_options)
            except FAILURES as error:
                print(f"pizza: {name} was not completed: {error}", file=sys.stderr)
                continue
            reports.append(report)
            print("".join(f"  {name}: {each}\n" for each in report.latencies), end="")
            print(f"  {name}: {words(report)}")
    return int(len(reports) < len(names))


def words(report: Report) -> str:
    """The report in one sentence, with the first error of each kind."""
    bad = [name for name in MUST_BE_EMPTY if getattr(report, name)]
    found = [f"{len(getattr(report, name))} {name} ({getattr(report, name)[0]})" for name in bad]
    return ", ".join(found) or f"{report.delivered} orders delivered, each once"


def show(reports: Sequence[Report]) -> None:
    """Print the table. In brackets behind `missed`: notifications lost at the broker."""
    print()
    print_table(HEADINGS, [(cells(each), "green" if each.good else "red") for each in reports])


def cells(report: Report) -> list[str]:
    """A line of the table."""
    bad = {name: str(len(getattr(report, name))) for name in MUST_BE_EMPTY}
    if report.lost_at_broker:
        bad["missed"] += f" ({len(report.lost_at_broker)})"
    most, slowest = report.answers
    return [
        report.scenario,
        str(report.accepted),
        str(report.delivered),
        *bad.values(),
        f"{report.hits}/{report.aimed}" if report.aimed else "–",
        f"{most:.2f}/{slowest:.2f} s",
        f"{report.recovery:.1f} s",
        f"{report.drained:.1f} s",
    ]


def write(path: Path, reports: Sequence[Report]) -> None:
    """Write all reports, with the numbers of the orders concerned."""
    document: dict[str, Any] = {
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "reports": [report.as_json() for report in reports],
    }
    write_json(path, document)


if __name__ == "__main__":
    sys.exit(main())
