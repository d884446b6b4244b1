"""Plots as SVG, drawn here: bars with an axis, and each value as a text as well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 600, 180
_LEFT, _TOP, _BOTTOM = 64, 14, 26


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: where it stands, in units of the drawing, and what it says."""

    x: float
    y: float
    width: float
    height: float
    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis with its words."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All that the template draws; `series` are the names of the kinds of bars."""

    title: str
    summary: str
    series: tuple[str, ...]
    bars: list[Bar]
    across: list[Tick]
    up: list[Tick]
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    base: int = _HEIGHT - _BOTTOM


def bars(
    title: str,
    series: Sequence[str],
    columns: Sequence[tuple[str, Sequence[float]]],
    *,
    unit: str = "",
    every: int = 1,
) -> Chart:
    """A plot of a column for each label, with a bar for each of the series.

    unit: behind each value; every: how many columns lie between two labels of the axis.
    """
    top = _round_up(max((value for _, values in columns for value in values), default=0))
    room = _HEIGHT - _TOP - _BOTTOM
    step = (_WIDTH - _LEFT) / max(1, len(columns))
    width = step * 0.8 / len(series)
    drawn, across = [], []
    for place, (label, values) in enumerate(columns):
        left = _LEFT + place * step
        for number, value in enumerate(values):
            height = room * value / top
            drawn.append(
                Bar(
                    round(left + step * 0.1 + number * width, 1),
                    round(_HEIGHT - _BOTTOM - height, 1),
                    round(width, 1),
                    round(height, 1),
                    f"{label}: {_short(value)}{unit} {series[number]}",
                    f"series-{number}",
                )
            )
        if place % every == 0:
            across.append(Tick(round(left + step / 2, 1), label))
    up = [
        Tick(round(_HEIGHT - _BOTTOM - room * share, 1), f"{_short(top * share)}{unit}")
        for share in (0, 0.5, 1)
    ]
    most = [max((values[n] for _, values in columns), default=0) for n in range(len(series))]
    words = ", ".join(
        f"{name} at most {_short(m)}{unit}" for name, m in zip(series, most, strict=True)
    )
    return Chart(title, words, tuple(series), drawn, across, up)


def _round_up(value: float) -> float:
    """The end of the axis: 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 2.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _short(value: float) -> str:
    if value >= 10 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"
