"""Waiting for a condition, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..waiting import PAUSE_S
from ..waiting import wait_until as eventually

__all__ = ["eventually", "stays"]


def stays(probe: Callable[[], bool], seconds: float, what: str) -> None:
    """Fail with `what` as soon as `probe` is false within the next `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert probe(), what
        time.sleep(PAUSE_S)
