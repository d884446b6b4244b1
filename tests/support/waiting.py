"""Time on a machine that has other things to do: waits with a timeout, and guaranteed bounds.

Tests have two kinds of seconds. How long a wait may take guarantees nothing: a test that passes
does not wait for it, so it gets TIMEOUT_FACTOR times what an idle machine needs. A bound that is
guaranteed is measured by a Stopwatch, which knows how many wanted a processor meanwhile.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

TIMEOUT_FACTOR = float(os.environ.get("TEST_PATIENCE", "5"))
PAUSE_S = 0.02
# For tests of sizes that take minutes.
full_size = pytest.mark.skipif(
    not os.environ.get("TEST_FULL"), reason="takes minutes; TEST_FULL=1 runs it"
)
_STAT = Path("/proc/stat")
_SAMPLE_S = 0.02


def wait_until(probe: Callable[[], T], seconds: float, what: str) -> T:
    """The first true answer of `probe`; fails with `what` when there is none in time.

    seconds: what an idle machine may need; a busy one gets TIMEOUT_FACTOR times as much.
    """
    deadline = time.monotonic() + TIMEOUT_FACTOR * seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {TIMEOUT_FACTOR * seconds:g} s: {what} (last answer: {answer!r})"
            )
        time.sleep(PAUSE_S)
    return answer


class Stopwatch:
    """Runs from construction on."""

    def __init__(self) -> None:
        self._before = _load().so_far()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._began

    def slowness(self) -> float:
        """How many threads shared one processor since the start, on average; 1 if none had to."""
        count, total = (
            now - then for now, then in zip(_load().so_far(), self._before, strict=True)
        )
        return max(1.0, total / count / (os.cpu_count() or 1)) if count else 1.0

    def assert_within(self, promised: float, took: float | None = None) -> None:
        """Fail when it took longer than promised, which a crowded machine stretches.

        The promise is about programs that get a processor when they ask for one. Where, say, six
        threads want one of two, each gets a third of the time, and three times as long is as good.
        took: seconds that were measured otherwise; by default what has passed until now.
        """
        took = self.seconds if took is None else took
        slowness = self.slowness()
        told = (
            f"{took:.2f} s instead of {promised:g} s, and the machine {slowness:.1f} times as slow"
        )
        assert took < promised * slowness, told


class _Load:
    """Counts, fifty times a second, how many threads run or wait for a processor."""

    def __init__(self) -> None:
        self._sums = (0, 0)
        threading.Thread(target=self._sample, name="load", daemon=True).start()

    def so_far(self) -> tuple[int, int]:
        """How many samples there were, and the sum of them."""
        return self._sums

    def _sample(self) -> None:
        while True:
            time.sleep(_SAMPLE_S)
            count, total = self._sums
            self._sums = (count + 1, total + _running())


@cache
def _load() -> _Load:
    return _Load()


def _running() -> int:
    """Threads that run or could run, but for the one that asks; 0 where no kernel says so."""
    try:
        line = next(x for x in _STAT.read_text().splitlines() if x.startswith("procs_running"))
    except (OSError, StopIteration):
        return 0
    return int(line.split()[1]) - 1
