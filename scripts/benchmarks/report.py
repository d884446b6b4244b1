"""The table for people and the file for programs."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.results import Figure
from terminal.tables import print_table

HEADINGS = ("work", "measured", "goal", "met", "ratio")
DISTURBING = 0.08


def show(figures: Sequence[Figure]) -> None:
    """Print the table, and how far it can be trusted."""
    _print_table(figures)
    others = max((figure.others for figure in figures), default=0.0)
    if others > DISTURBING:
        print(f"\nOther programs took up to {others:.0%} of the machine: alone it is faster.")


def _print_table(figures: Sequence[Figure]) -> None:
    """Drawn on a terminal, plain columns elsewhere."""
    styles = {True: "green", False: "red", None: ""}
    print_table(HEADINGS, [(_cells(figure), styles[figure.met]) for figure in figures])


def _cells(figure: Figure) -> tuple[str, str, str, str, str]:
    sign = "≤" if figure.lower else "≥"
    goal = f"{sign} {_number(figure.goal)} {figure.unit}" if figure.goal is not None else ""
    met = {True: "yes", False: "NO", None: ""}[figure.met]
    name, _ = figure.against or ("goal", 0)
    ratio = f"{figure.ratio:.2f} × {name}" if figure.ratio else ""
    return figure.work, f"{_number(figure.measured)} {figure.unit}", goal, met, ratio


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def write(path: Path, figures: Sequence[Figure], seconds: float) -> None:
    """Write all figures with their details, and where they were measured."""
    document: dict[str, Any] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.platform(),
            "load_at_end": os.getloadavg(),
        },
        "figures": [figure.as_json() for figure in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    print(f"\nWritten with all details to {path}.")
