"""Waits for a condition."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], seconds: float, pause: float = 0.05) -> T:
    """Call `condition` every `pause` seconds until its result is true; returns its last result.

    That is false if the condition was not met within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(pause)
    return found
