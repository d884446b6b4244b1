"""Storms over the full restaurant, on private servers, and what its database says after each.

Guests order steadily while processes are killed or frozen, servers crash, hang or lose their disk,
the network breaks and messages come a hundred times. Then all is healed, every order has to reach
its guest, and the exit status is 1 unless everything bad is zero.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bootstrap.data_dir import FOLDER, DataFolderError
from chaos_tools.checks.report import BAD, Verdict
from chaos_tools.run import Weather, weather
from chaos_tools.scenario import STORMS
from chaos_tools.scenarios import (
    backlog,
    broker,
    clock,
    database,
    deploy,
    kill_points,
    load,
    locks,
    messages,
    neighbours,
    network,
    processes,
)
from devservices import ProcessFailed, Servers
from pizza.database.errors import DatabaseError
from supervisor.api_client import ApiError
from supervisor.signals import run_in_data_dir
from terminal.progress import step
from terminal.tables import print_table

FAMILIES = (
    processes,
    kill_points,
    clock,
    broker,
    database,
    network,
    messages,
    load,
    deploy,
    backlog,
    locks,
    neighbours,
)
FAILURES = (ApiError, DataFolderError, DatabaseError, OSError, ProcessFailed)
QUICK_SECONDS = 6.0
HEADINGS = (
    "storm", "accepted", "delivered", "lost", "doubled", "overlap", "wrong", "missing", "unheard",
    "disorder", "died", "no JSON", "failed", "denied", "late", "grown", "hits", "answer",
    "recovery", "drained",
)  # fmt: skip


def main() -> int:
    """Have the storms that were asked for; 0 when each ended in zeros."""
    options = parse_arguments()
    if options.list:
        print("\n".join(f"{storm.name:21} {storm.sentence}" for storm in STORMS.values()))
        return 0
    verdicts: list[Verdict] = []
    complete = run_in_data_dir(
        lambda folder: run(folder / "chaos", options, verdicts),
        "the storms could not be had",
        FAILURES,
    )
    show(verdicts)
    write(options.json, verdicts)
    return 0 if complete and all(verdict.good for verdict in verdicts) else 1


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", default=["all"], help="storms by name, or all")
    add("--list", action="store_true", help="name the storms, and end")
    add("--seed", type=int, default=1, help="same seed, same blows (%(default)s)")
    add("--seconds", type=float, default=30.0, help="length of each storm (%(default)s)")
    add("--rate", type=float, default=6.0, help="orders a second (%(default)s)")
    add("--quick", action="store_true", help=f"storms of {QUICK_SECONDS:.0f} s")
    add("--full", action="store_true", help="the long cook for its 5 minutes")
    add(
        "--leave-unanswered", dest="retry_unanswered", action="store_false", default=True,
        help="do not send an order again whose answer was lost",
    )  # fmt: skip
    add("--json", type=Path, default=FOLDER / "chaos.json", help="where the details go")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in (*STORMS, "all")]
    if unknown:
        parser.error(f"there is no storm {unknown[0]!r}; there are {', '.join(STORMS)} and all")
    if options.seconds <= 0 or options.rate <= 0:
        parser.error("--seconds and --rate must be above 0")
    return options


def run(folder: Path, options: argparse.Namespace, verdicts: list[Verdict]) -> bool:
    """Have the storms on servers of their own; True when each of them came to a verdict."""
    shutil.rmtree(folder, ignore_errors=True)
    names = list(STORMS) if "all" in options.names else list(dict.fromkeys(options.names))
    seconds = QUICK_SECONDS if options.quick else options.seconds
    how = Weather(
        options.seed, seconds, options.rate, full=options.full,
        retry_unanswered=options.retry_unanswered,
    )  # fmt: skip
    complete = True
    servers = Servers(folder)
    try:
        with step("Starting PostgreSQL and RabbitMQ"):
            servers.start()
        for name in names:
            try:
                verdict = weather(servers, folder / "logs", STORMS[name], how)
            except FAILURES as error:
                print(f"pizza: {name} did not come to its end: {error}", file=sys.stderr)
                complete = False
                continue
            verdicts.append(verdict)
            print("".join(f"  {name}: {each}\n" for each in verdict.latencies), end="")
            print(f"  {name}: {words(verdict)}")
    finally:
        with step("Stopping"):
            servers.stop()
    return complete


def words(verdict: Verdict) -> str:
    """The verdict in a sentence, with the first of each kind of what is bad."""
    bad = [name for name in BAD if getattr(verdict, name)]
    found = [f"{len(getattr(verdict, name))} {name} ({getattr(verdict, name)[0]})" for name in bad]
    return ", ".join(found) or f"{verdict.delivered} orders delivered, each once"


def show(verdicts: Sequence[Verdict]) -> None:
    """Print the table. Beside what is unheard stands what was spilled, in brackets."""
    print()
    print_table(HEADINGS, [(cells(each), "green" if each.good else "red") for each in verdicts])


def cells(verdict: Verdict) -> list[str]:
    """A line of the table."""
    bad = {name: str(len(getattr(verdict, name))) for name in BAD}
    if verdict.spilled:
        bad["unheard"] += f" ({len(verdict.spilled)})"
    most, slowest = verdict.answers
    return [
        verdict.storm, str(verdict.accepted), str(verdict.delivered), *bad.values(),
        f"{verdict.hits}/{verdict.aimed}" if verdict.aimed else "–",
        f"{most:.2f}/{slowest:.2f} s", f"{verdict.recovery:.1f} s", f"{verdict.drained:.1f} s",
    ]  # fmt: skip


def write(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write all verdicts with the numbers of the orders behind them."""
    document: dict[str, Any] = {
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "verdicts": [verdict.as_json() for verdict in verdicts],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    print(f"\nWritten with all details to {path}.")
