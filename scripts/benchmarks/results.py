"""The results of measurements: with a goal, and what they are compared with."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


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

    def as_json(self) -> dict[str, Any]:
        """For the JSON file, with what is derived."""
        return asdict(self) | {"met": self.met, "ratio": self.ratio}


def at_most(work: str, measured: float, unit: str, goal: float, **more: Any) -> Result:
    """A result that should not exceed its goal. more: other fields of Result."""
    return Result(work, measured, unit, goal, lower_is_better=True, **more)


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
