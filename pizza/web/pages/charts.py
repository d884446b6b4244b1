"""Computes bar charts, which the template draws as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 600, 180
_LEFT, _TOP, _BOTTOM = 64, 14, 26


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar in SVG units. title: its value as text; kind: its CSS class."""

    x: float
    y: float
    width: float
    height: float
    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart for the template. series: the names of the kinds of bars.

    x_ticks, y_ticks: of each tick of the axis its position in SVG units and its label.
    """

    title: str
    summary: str
    series: tuple[str, ...]
    bars: list[Bar]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    base: int = _HEIGHT - _BOTTOM


def bar_chart(
    title: str,
    series: Sequence[str],
    columns: Sequence[tuple[str, Sequence[float]]],
    *,
    unit: str = "",
    every: int = 1,
) -> Chart:
    """A chart with a group of bars for each (label, values) of `columns`.

    series: the names of the values; unit: appended to each value; every: label each n-th column.
    """
    top = _round_up(max((value for _, values in columns for value in values), default=0))
    room = _HEIGHT - _TOP - _BOTTOM
    step = (_WIDTH - _LEFT) / max(1, len(columns))
    width = step * 0.8 / len(series)
    drawn, x_ticks = [], []
    for index, (label, values) in enumerate(columns):
        left = _LEFT + index * step
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
        if index % every == 0:
            x_ticks.append((round(left + step / 2, 1), label))
    y_ticks = [
        (round(_HEIGHT - _BOTTOM - room * share, 1), f"{_short(top * share)}{unit}")
        for share in (0, 0.5, 1)
    ]
    maxima = [max((values[n] for _, values in columns), default=0) for n in range(len(series))]
    summary = ", ".join(
        f"{name} at most {_short(m)}{unit}" for name, m in zip(series, maxima, strict=True)
    )
    return Chart(title, summary, tuple(series), drawn, x_ticks, y_ticks)


def _round_up(value: float) -> float:
    """The end of the y axis: 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 2.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _short(value: float) -> str:
    if value >= 10 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"
