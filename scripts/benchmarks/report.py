"""The table for people and the file for programs."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.results import Result
from supervisor.program import write_json
from terminal.tables import print_table

HEADINGS = ("work", "measured", "goal", "met", "ratio")
DISTURBING = 0.08


def show(results: Sequence[Result]) -> None:
    """Print the table, and how far it can be trusted."""
    styles = {True: "green", False: "red", None: ""}
    print_table(HEADINGS, [(_cells(result), styles[result.met]) for result in results])
    background_load = max((result.background_load for result in results), default=0.0)
    if background_load > DISTURBING:
        print(
            f"\nOther programs took up to {background_load:.0%} of the machine: alone it is faster."
        )


def _cells(result: Result) -> tuple[str, str, str, str, str]:
    sign = "≤" if result.lower_is_better else "≥"
    goal = f"{sign} {_number(result.goal)} {result.unit}" if result.goal is not None else ""
    met = {True: "yes", False: "NO", None: ""}[result.met]
    name, _ = result.baseline or ("goal", 0)
    ratio = f"{result.ratio:.2f} × {name}" if result.ratio else ""
    return result.work, f"{_number(result.measured)} {result.unit}", goal, met, ratio


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def write(path: Path, results: Sequence[Result], seconds: float) -> None:
    """Write all results with their details, and where they were measured."""
    document: dict[str, Any] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.platform(),
            "load_at_end": os.getloadavg(),
        },
        "figures": [result.as_json() for result in results],
    }
    write_json(path, document)
