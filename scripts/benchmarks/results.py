"""The results of measurements, with goals and comparisons: as a table, and as a file."""

import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from supervisor.program import write_json
from terminal.tables import print_table

HEADINGS = ("work", "measured", "goal", "met", "ratio")
DISTURBING = 0.08


class MeasurementFailed(RuntimeError):
    """A measurement did not come to its end, or what it left behind is wrong; one sentence."""


@dataclass(frozen=True)
class Result:
    """One line of the table.

    goal: at least this much, or with lower_is_better at most; None for a result without one.
    baseline: the name and value of what `ratio` relates to; the goal where it is None.
    spread: the single rounds behind a median.
    background_load: the share of the machine that went to other programs meanwhile.
    calibration: how fast processor and disk were just before.
    """

    work: str
    measured: float
    unit: str
    goal: float | None = None
    lower_is_better: bool = False
    baseline: tuple[str, float] | None = None
    spread: Sequence[float] = ()
    background_load: float = 0.0
    calibration: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.goal is None:
            return None
        return self.measured <= self.goal if self.lower_is_better else self.measured >= self.goal

    @property
    def ratio(self) -> float | None:
        """Measured to what it is compared with."""
        other = self.baseline[1] if self.baseline else self.goal
        return self.measured / other if other else None

    def cells(self) -> tuple[str, str, str, str, str]:
        """Its texts under HEADINGS."""
        sign = "≤" if self.lower_is_better else "≥"
        goal = f"{sign} {_number(self.goal)} {self.unit}" if self.goal is not None else ""
        met = {True: "yes", False: "NO", None: ""}[self.met]
        name, _ = self.baseline or ("goal", 0)
        ratio = f"{self.ratio:.2f} × {name}" if self.ratio else ""
        return self.work, f"{_number(self.measured)} {self.unit}", goal, met, ratio


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def at_most(work: str, measured: float, unit: str, goal: float, **more: Any) -> Result:
    """A result that should not exceed its goal. more: other fields of Result."""
    return Result(work, measured, unit, goal, lower_is_better=True, **more)


def show_table(results: Sequence[Result]) -> None:
    """Print the table, and how far it can be trusted."""
    styles = {True: "green", False: "red", None: ""}
    print_table(HEADINGS, [(result.cells(), styles[result.met]) for result in results])
    background_load = max((result.background_load for result in results), default=0.0)
    if background_load > DISTURBING:
        print(
            f"\nOther programs took up to {background_load:.0%} of the machine: alone it is faster."
        )


def write_file(path: Path, results: Sequence[Result], seconds: float) -> None:
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
        "figures": [asdict(each) | {"met": each.met, "ratio": each.ratio} for each in results],
    }
    write_json(path, document)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all do not exceed (nearest rank); NaN of none."""
    ordered = sorted(values)
    rank = max(0, math.ceil(len(ordered) * percent / 100) - 1)
    return ordered[rank] if ordered else math.nan


def latencies(milliseconds: Sequence[float]) -> dict[str, float]:
    """The percentiles that are written down, rounded."""
    found = {f"p{percent}_ms": percentile(milliseconds, percent) for percent in (50, 95, 99)}
    worst = max(milliseconds, default=math.nan)
    return {name: round(value, 2) for name, value in (found | {"worst_ms": worst}).items()}


def median_ms(action: Callable[[], object], times: int, rest: float = 0.0) -> float:
    """The median of so many calls in milliseconds. rest: seconds to rest before each."""
    found = []
    for _ in range(times):
        time.sleep(rest)
        began = time.perf_counter()
        action()
        found.append(1000 * (time.perf_counter() - began))
    return median(found)
