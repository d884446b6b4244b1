"""Waiting for a condition, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.02


def eventually(probe: Callable[[], T], seconds: float, what: str) -> T:
    """Ask `probe` until its answer is true, and return that; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what} (last answer: {answer!r})")
        time.sleep(PAUSE_S)
    return answer


def stays(probe: Callable[[], bool], seconds: float, what: str) -> None:
    """Fail with `what` as soon as `probe` is false within the next `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert probe(), what
        time.sleep(PAUSE_S)
