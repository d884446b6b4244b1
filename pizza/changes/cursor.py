"""Cursors: which changes of all orders a reader has received.

Positions are given before a transaction commits, so a reader has not always received everything up
to one position. A cursor is the highest position received, and the positions below it that are
still missing.
"""

from __future__ import annotations

import heapq
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

# The first and the last position of a range.
Range = tuple[int, int]
# Sorted, without overlaps.
Ranges = tuple[Range, ...]

# A cursor's text is sent with each event and returns in a header: with this many ranges it has at
# most 659 characters.
MAX_RANGES = 16
_END = 2**63 - 1
_RANGE = r"\d{1,18}(?:-\d{1,18})?"
_TEXT = re.compile(rf"(\d{{1,18}})(?:~({_RANGE}(?:\.{_RANGE}){{0,{MAX_RANGES - 1}}}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """All changes up to `position` were received, except those in `missing`."""

    position: int
    missing: Ranges = ()

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The cursor that `text` describes, as str() writes it; None for any other text."""
        match = _TEXT.fullmatch(text)
        if match is None:
            return None
        position, before, missing = int(match[1]), 0, []
        for part in match[2].split(".") if match[2] else ():
            low, _, high = part.partition("-")
            missing.append((int(low), int(high or low)))
            if not before < missing[-1][0] <= missing[-1][1] <= position:
                return None
            before = missing[-1][1]
        return cls(position, tuple(missing))

    def __str__(self) -> str:
        """`105`, or `105~98.101-103` while 98 and 101 to 103 are missing."""
        if not self.missing:
            return str(self.position)
        parts = (str(low) if low == high else f"{low}-{high}" for low, high in self.missing)
        return f"{self.position}~{'.'.join(parts)}"

    def received(self, position: int) -> bool:
        """Whether the change with this position was received."""
        return position <= self.position and not contains(self.missing, position)

    def upto(self, position: int) -> Self:
        """The same without what was received after `position`."""
        if position >= self.position:
            return self
        return type(self)(position, clipped(self.missing, 1, position))

    def union(self, other: Cursor) -> Self:
        """What was received according to one of the two."""
        if not self.missing and not other.missing:
            return type(self)(max(self.position, other.position))
        *missing, (low, _) = intersection(self._outstanding(), other._outstanding())
        return type(self)(low - 1, bounded(missing))

    def _outstanding(self) -> Ranges:
        return *self.missing, (self.position + 1, _END)


def bounded(ranges: Sequence[Range]) -> Ranges:
    """At most MAX_RANGES ranges that include all of these, and as little else as possible."""
    if len(ranges) <= MAX_RANGES:
        return tuple(ranges)
    starts = heapq.nlargest(
        MAX_RANGES - 1, range(1, len(ranges)), key=lambda n: ranges[n][0] - ranges[n - 1][1]
    )
    edges = [0, *sorted(starts), len(ranges)]
    return tuple((ranges[first][0], ranges[after - 1][1]) for first, after in pairwise(edges))


def added(ranges: Ranges, low: int, high: int) -> Ranges:
    """These ranges and one that overlaps none of them, bounded."""
    n = bisect_left(ranges, (low, high))
    before, after = list(ranges[:n]), list(ranges[n:])
    if before and before[-1][1] >= low - 1:
        first, last = before.pop()
        low, high = first, max(last, high)
    if after and after[0][0] == high + 1:
        high = after.pop(0)[1]
    return bounded([*before, (low, high), *after])


def contains(ranges: Ranges, position: int) -> bool:
    """Whether one of the ranges includes this position."""
    n = bisect_right(ranges, (position, _END))
    return n > 0 and ranges[n - 1][1] >= position


def clipped(ranges: Iterable[Range], low: int, high: int) -> Ranges:
    """The parts of these ranges from `low` to `high`."""
    return tuple((max(a, low), min(b, high)) for a, b in ranges if a <= high and b >= low)


def intersection(some: Ranges, others: Ranges) -> list[Range]:
    """The positions that are in both."""
    found: list[Range] = []
    i = j = 0
    while i < len(some) and j < len(others):
        low, high = max(some[i][0], others[j][0]), min(some[i][1], others[j][1])
        if low <= high:
            found.append((low, high))
        if some[i][1] < others[j][1]:
            i += 1
        else:
            j += 1
    return found


def without(ranges: Iterable[Range], positions: Sequence[int]) -> list[Range]:
    """These ranges less some positions, which are sorted."""
    rest: list[Range] = []
    for low, high in ranges:
        inside = positions[bisect_left(positions, low) : bisect_right(positions, high)]
        rest += between(low - 1, [*inside, high + 1])
    return rest


def between(position: int, positions: Iterable[int]) -> list[Range]:
    """The ranges that some sorted positions after `position` leave out."""
    gaps: list[Range] = []
    for each in positions:
        if each > position + 1:
            gaps.append((position + 1, each - 1))
        position = each
    return gaps


def cursors(missing: Ranges, positions: Sequence[int]) -> Iterator[Cursor]:
    """For each of the sorted positions the cursor of a reader that has received all up to there.

    missing: what it has not received; none of the positions.
    """
    if not positions:
        return
    n = bisect_left(missing, (positions[0], 0))
    so_far = bounded(missing[:n])
    for position in positions:
        while n < len(missing) and missing[n][0] < position:
            so_far = added(so_far, *missing[n])
            n += 1
        yield Cursor(position, so_far)
